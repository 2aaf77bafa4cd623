"""Trained agents: the scores on their cards hold, and every command that takes a run takes them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env

from expirespan.agents import (
    Card,
    CardScore,
    DeployedPolicy,
    evaluate_policy,
    load_card,
    load_pretrained,
    pretrained_names,
)
from expirespan.agents.pretrained.shelf import SHELF, policy_file
from expirespan.experiments.cli import main
from expirespan.experiments.evaluation.evaluate import evaluate
from expirespan.experiments.making.agents import load_agent, load_policy, pretrained_agent
from expirespan.experiments.pretrained.pack import MOST_BYTES, MOST_TOGETHER, card_score
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import KINDS, Config, CorridorSettings
from expirespan.experiments.settings.config_file import from_dict
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config
from expirespan.experiments.training.train import train

SEED = 5_000_000


def fresh(card: Card, agent: Any, episodes: int) -> CardScore:
    """Its score on episodes that the card does not count."""
    env = from_dict(dict(card.settings), "card", Config, KINDS).eval_env
    return card_score(env, evaluate(agent, env, episodes, 50, SEED).agent, SEED)


def agree(claimed: CardScore, found: CardScore) -> bool:
    """Whether the intervals of two scores on the same task overlap, and no more memories are alive than claimed."""
    assert (claimed.env, claimed.parameters) == (found.env, found.parameters)
    pairs = (
        (claimed.success_interval, found.success_interval),
        (claimed.return_interval, found.return_interval),
    )
    one, other = pairs[0] if claimed.success_interval is not None else pairs[1]
    assert one is not None and other is not None
    few = not (claimed.alive_at_end and found.alive_at_end) or all(
        ours <= 1.25 * theirs for ours, theirs in zip(found.alive_at_end, claimed.alive_at_end, strict=True)
    )
    return one[0] <= other[1] and other[0] <= one[1] and few


@pytest.mark.parametrize("name", pretrained_names())
def test_the_score_on_the_card_holds(name: str) -> None:
    card = load_card(name)
    found = fresh(card, pretrained_agent(name), 60)
    assert agree(card.score, found)
    alive = card.score.alive_at_end
    if alive is not None:
        assert found.alive_at_end is not None, "among so many episodes is one of the longest"
        assert not agree(replace(card.score, alive_at_end=tuple(count / 2 for count in alive)), found)


def test_the_score_of_another_agent_does_not() -> None:
    card, agent = load_card("corridor"), pretrained_agent("corridor")
    with th.no_grad():
        agent.policy.action_net.weight.neg_()
    assert not agree(card.score, fresh(card, agent, 10))


@pytest.mark.parametrize("name", pretrained_names())
def test_the_card_says_what_made_the_agent(name: str) -> None:
    card = load_card(name)
    assert re.fullmatch("[0-9a-f]{40}", card.commit)
    words = shlex.split(card.command)
    assert words[:2] == ["expirespan", "train"]
    config = parse_config(find_recipe(words[2]).config, words[3:], "train", "")
    assert (config.recipe, config.seed) == (card.settings["recipe"], card.seed)
    assert card.licence == "Apache-2.0" and card.score.episodes >= 1000 and card.steps > 0
    assert load_pretrained(name).about["steps"] == card.steps
    assert policy_file(name).stat().st_size <= MOST_BYTES
    assert Card.from_json(card.to_json()) == card


def test_all_of_them_are_small() -> None:
    files = [path for path in SHELF.iterdir() if path.suffix in (".zip", ".json")]
    assert {path.stem for path in files} == set(pretrained_names()) >= {"corridor"}
    assert sum(path.stat().st_size for path in files) < MOST_TOGETHER


def test_one_acts_where_stable_baselines3_evaluates() -> None:
    policy = load_pretrained("corridor", device="cpu")
    assert isinstance(policy, DeployedPolicy)
    env = make_vec_env("ExpireSpan/Corridor-v0", n_envs=4, seed=0, env_kwargs={"max_length": 12})
    mean, _ = evaluate_policy(policy, env, n_eval_episodes=8)
    assert mean == 1.0


def test_an_unknown_name_lists_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ValueError, match=r"no trained agent 'coridor': expected one of corridor.*, or FOLDER/NAME"
    ):
        load_pretrained("coridor")
    (tmp_path / "a.zip").write_bytes(policy_file("corridor").read_bytes())
    (tmp_path / "a.json").write_text('{"name": "a"}')
    with pytest.raises(
        ValueError, match=r"a\.json is no card of a trained agent: the card lacks command, commit"
    ):
        load_card(f"{tmp_path}/a")
    for args in (
        ["evaluate", "pretrained:coridor"],
        ["view", "pretrained:"],
        ["export", "pretrained:coridor"],
    ):
        assert main(args) == 2
        said = capsys.readouterr().err
        assert "expected one of corridor" in said and said.count("\n") == 1


def test_commands_take_it_in_the_place_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    short = ["--max-length", "8", "--episodes", "4", "--num-envs", "2", "--no-what-if"]
    assert main(["view", "pretrained:corridor"]) == 0, "records an episode by itself"
    assert main(["evaluate", "pretrained:corridor", *short]) == 0
    assert main(["compare", "pretrained:corridor"]) == 0
    assert main(["export", "pretrained:corridor"]) == 0
    assert main(["pretrained"]) == 0
    folder = tmp_path / "runs" / "pretrained" / "corridor"
    assert (folder / "viewer.html").stat().st_size > 100_000
    assert (
        json.loads((folder / "evaluation.json").read_text())["trained_steps"] == load_card("corridor").steps
    )
    assert "| corridor | ExpireSpan/Corridor-v0 | success 1.000 (0.996 to 1.000) |" in capsys.readouterr().out
    assert main(["train", "--resume", "pretrained:corridor"]) == 2
    assert "a policy alone, which cannot go on learning" in capsys.readouterr().err
    checkpoint = Run.open("pretrained:corridor").newest_checkpoint()
    checkpoint.write_bytes(b"of another version")
    assert (
        Run.open("pretrained:corridor").newest_checkpoint().read_bytes()
        == policy_file("corridor").read_bytes()
    )
    assert not any((folder / "traces").iterdir()), "episodes of another agent"


@pytest.mark.slow
def test_packing_a_run(tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is packed acts as the run's last checkpoint does, and training can begin with it."""
    run = train(tiny).run
    about = run.folder / "about.json"
    facts = json.loads(about.read_text()) | {"command": "pytest train corridor --seed 0", "commit": "c" * 40}
    about.write_text(json.dumps(facts))
    packing = ["pretrained", str(run.folder), "--name", "tiny", "--folder", str(tmp_path), "--episodes", "8"]
    assert main(packing) == 0
    name = f"{tmp_path}/tiny"
    assert f"expirespan evaluate pretrained:{name}" in capsys.readouterr().out
    card = load_card(name)
    assert (card.command, card.commit) == ("expirespan train corridor --seed 0", "c" * 40)
    assert (card.steps, card.seed, card.score.episodes) == (1024, tiny.seed, 8)
    assert from_dict(dict(card.settings), "card", Config, KINDS) == tiny
    ours = evaluate(pretrained_agent(name), CorridorSettings(3, 4), 20, 10, seed=7)
    theirs = evaluate(load_agent(tiny, run.newest_checkpoint()), CorridorSettings(3, 4), 20, 10, seed=7)
    assert replace(ours.agent, steps_per_second=0) == replace(theirs.agent, steps_per_second=0)
    begun = train(
        replace(tiny, trained_agent=f"pretrained:{name}", total_timesteps=128, runs=str(tmp_path / "more"))
    )
    assert begun.steps == 128

    about.write_text(json.dumps(facts | {"commit": None}))
    assert main(packing) == 2
    assert "was not trained in a checkout" in capsys.readouterr().err
    assert main(packing[:2]) == 2 and "--name NAME" in capsys.readouterr().err


def test_a_file_that_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "agent.zip").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot load the policy .*agent\.zip"):
        load_policy(tmp_path / "agent.zip")
    with pytest.raises(UserError, match=r"cannot load the policy .*none\.zip"):
        load_policy(tmp_path / "none.zip")
