"""A policy file and its card, made from a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expirespan.agents import Card, CardScore, DeployedPolicy
from expirespan.experiments.evaluation.evaluate import Score, evaluate
from expirespan.experiments.evaluation.stats import Interval
from expirespan.experiments.making.agents import load_agent, load_policy
from expirespan.experiments.making.checked import checked
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.run_folder.files import atomically, write_text
from expirespan.experiments.run_folder.names import check_name
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config, Env
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.settings.errors import UserError

MOST_BYTES, MOST_TOGETHER = 700_000, 2_000_000
"""Of a policy file, and of all agents that come with the package."""
EPISODES, ENVS, SEED = 1000, 100, 2_000_000
"""The defaults of `expirespan evaluate`, so that it gives the score on the card."""


def pack(
    run: Run, name: str, folder: Path, checkpoint: str, licence: str, summary: str, episodes: int = EPISODES
) -> Card:
    """Write ``NAME.zip``, the policy of a run's checkpoint, and ``NAME.json``, its card, into a folder.

    Raises:
        UserError: the run does not say which commit made it, its policy has no memory or is too large.
    """
    check_name("name", name)
    config = run.config
    made = _provenance(run)
    agent = load_agent(config, run.find_checkpoint(checkpoint), device="cpu")
    facts = {"name": name, "recipe": config.recipe, "seed": config.seed, "steps": agent.num_timesteps, **made}
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / f"{name}.zip"
    with checked(f"pretrained {name}"), atomically(policy) as temporary:
        DeployedPolicy.of(agent, facts).save(temporary)
        size = temporary.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"the policy has {size:,} bytes: expected at most {MOST_BYTES:,}; train one of smaller width"
            )
    card = Card(
        name=name,
        summary=summary or _summary(config),
        licence=licence,
        command=made["command"],
        commit=made["commit"],
        seed=config.seed,
        steps=agent.num_timesteps,
        versions=made["versions"],
        score=measure(policy, config.eval_env, episodes),
        settings=to_dict(config),
    )
    write_text(folder / f"{name}.json", card.to_json())
    return card


def measure(policy: Path, env: Env, episodes: int) -> CardScore:
    """The score of the policy in a file, as `expirespan evaluate` plays."""
    reached = evaluate(load_policy(policy), env, episodes, ENVS, SEED).agent
    return card_score(env, reached)


def card_score(env: Env, reached: Score, seed: int = SEED) -> CardScore:
    """What a card says of a score."""
    mean, interval = reached.mean_return, reached.interval
    spread = reached.return_interval or Interval(mean, mean)
    return CardScore(
        env=env.gym_id,
        parameters=env.parameters,
        episodes=reached.episodes,
        seed=seed,
        success=reached.success,
        success_interval=None if interval is None else (interval.low, interval.high),
        mean_return=mean,
        return_interval=(spread.low, spread.high),
        alive_at_end=tuple(reached.alive_at_end) if reached.alive_at_end else None,
    )


def _summary(config: Config) -> str:
    recipe = RECIPES.get(config.recipe)
    return recipe.summary if recipe else f"an agent for {config.eval_env.gym_id}"


def _provenance(run: Run) -> Mapping[str, Any]:
    """Command, commit and versions of a run, as it noted them."""
    try:
        about = json.loads((run.folder / "about.json").read_text(encoding="utf-8"))
        found = {name: about[name] for name in ("command", "commit", "versions")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{run.folder / 'about.json'} does not say what made the run ({error}): train it again"
        ) from None
    if not found["commit"]:
        raise UserError(
            f"{run.folder} was not trained in a checkout, so that no commit is known: train it in a clone, so that "
            "others can do the same"
        )
    command = found["command"]
    return found | {"command": "expirespan " + command[max(0, command.find("train ")) :]}
