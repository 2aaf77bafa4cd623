"""A training that is killed and resumed leaves what an uninterrupted one leaves: every step once, the same numbers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expirespan.agents import MemoryPPO
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.training.train import train

pytestmark = pytest.mark.usefixtures("no_drawing")
TIMED = ("steps_per_second", "step_times")


class Killed(BaseException):
    """Stands for a process that is gone: nothing handles it."""


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without seconds, and without W&B's names of media files."""
    steps = ("time/total_timesteps", "time/iterations")
    return [
        {
            key: value
            for key, value in row.items()
            if (not key.startswith(("time/", "_")) or key in steps)
            and key not in TIMED
            and not key.endswith(("path", "/sha256", "/size", "_id"))
        }
        for row in rows
        if not str(row.get("tag")).startswith("time/")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("update", [5, 7])
def test_killed_and_resumed(tiny: Config, monkeypatch: pytest.MonkeyPatch, logs_of: Any, update: int) -> None:
    """Evaluations and checkpoints come every 4 updates of 128 steps, a row of the log with each."""
    config = replace(tiny, wandb="offline", tensorboard=True)
    whole = train(config)
    original = MemoryPPO.train

    def dies(agent: MemoryPPO) -> None:
        if agent.num_timesteps > 128 * update:
            raise Killed
        original(agent)

    monkeypatch.setattr(MemoryPPO, "train", dies)
    broken = replace(config, runs=f"{config.runs}-broken")
    with pytest.raises(Killed):
        train(broken)
    monkeypatch.setattr(MemoryPPO, "train", original)
    time.sleep(1.1)  # TensorBoard and W&B name their files by the second
    run = Run.open(Path(broken.runs) / broken.recipe)
    again = train(broken, run)
    for expected, found in zip(logs_of(whole.run), logs_of(again.run), strict=True):
        for one, other in zip(untimed(expected), untimed(found), strict=True):
            differ = {
                k: (one.get(k), other.get(k)) for k in one.keys() | other.keys() if one.get(k) != other.get(k)
            }
            assert not differ, differ
