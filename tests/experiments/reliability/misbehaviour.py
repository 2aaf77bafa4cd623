"""Tries of a run in an environment that misbehaves."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    EvaluationSettings,
    ExpireSpanSettings,
    GymSettings,
    PPOSettings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.training.train import train
from tests.experiments.reliability.jobs import quiet
from tests.experiments.reliability.worlds import Kind

TIMEOUT, LIMIT = 1.0, 40


def known(kind: Any, **given: Any) -> Any:
    """An instance with those of the settings that it has; older versions have fewer."""
    return kind(**{name: value for name, value in given.items() if name in {f.name for f in fields(kind)}})


def config_of(kind: Kind, runs: Path, cured: Path) -> Config:
    """Two environments, four rollouts of 8 steps, two evaluations."""
    about = {"fault": kind.name, "where": kind.where, "cured": str(cured)}
    worlds = [
        known(
            GymSettings,
            id="Misbehaving-v0",
            kwargs=about | {"evaluates": evaluates},
            timeout=TIMEOUT if kind.workers else None,
        )
        for evaluates in (False, True)
    ]
    return Config(
        recipe="misbehaving",
        total_timesteps=64,
        num_envs=2,
        env=worlds[0],
        eval_env=worlds[1],
        memory=ExpireSpanSettings(width=8, layers=1, heads=1, max_span=16, ramp=2),
        algorithm=PPOSettings(n_steps=8, batch_size=16, n_epochs=1),
        evaluation=known(EvaluationSettings, every=32, episodes=2, num_envs=2, step_limit=LIMIT),
        runs=str(runs),
        wandb="off",
        tensorboard=False,
        progress=False,
    )


def complaint(kind: Kind, folder: Path) -> str:
    """What is wrong with how a run met this kind, in words; nothing if all is well."""
    cured = folder / "cured"
    config = config_of(kind, folder / "runs", cured)
    said = ""
    try:
        with quiet():
            train(config)
    except UserError as error:
        said = str(error)
    except BaseException as error:  # what the user would see as a traceback
        return f"{type(error).__name__} was not caught: {error}"
    if kind.healthy:
        return f"stopped: {said}" if said else ""
    if not said:
        return "went unnoticed"
    wrong = [word for word in _words(kind) if word not in said]
    if wrong or "\n" in said:
        return f"does not say {', '.join(wrong) or 'it in one paragraph'}: {said}"
    runs = list((folder / "runs").glob("*/*/config.yaml"))
    if not runs:
        return "" if kind.where == "constructor" else "no run to resume"
    run = Run.open(runs[0].parent)
    learned = run.step_checkpoints()
    if kind.where in ("training", "evaluation") and not learned:
        return "no checkpoint"
    cured.touch()
    try:
        with quiet():
            result = train(config, run)
    except Exception as error:
        return f"does not resume: {error}"
    return "" if result.steps == 64 and not result.interrupted else f"resumed to {result.steps} steps"


def _words(kind: Kind) -> list[str]:
    """What the message must name: the environment, the step, what came, and the checkpoint."""
    if kind.where == "constructor":
        return ["Misbehaving-v0", "boom" if kind.name != "OwnError" else "OwnError"]
    words = ["Misbehaving-v0", "checkpoint", "--resume"]
    if kind.where in ("training", "evaluation"):
        words += ["step", kind.where, f"step-{16 if kind.where == 'training' else 32:010d}.zip"]
    if kind.name.startswith("worker"):
        return [*words, "environment"]
    what = {"observation": "observation", "last": "observation", "returns": "returned", "reset": "returned"}
    return [*words, what.get(kind.name.split()[0], kind.name.split()[0])]
