"""A training that is killed and resumed leaves what an uninterrupted one leaves: every step once, the same numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expirespan.agents import MemoryPPO
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.experiments.tracking.wandb_files import read_rows, run_files
from expirespan.experiments.training.train import train

pytestmark = pytest.mark.usefixtures("no_drawing")
Rows = list[dict[str, Any]]
TIMED = ("steps_per_second", "step_times")


class Killed(BaseException):
    """Stands for a process that is gone: nothing handles it."""


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    """Without seconds, and without W&B's names of media files."""
    steps = ("time/total_timesteps", "time/iterations")
    return {
        key: value
        for key, value in row.items()
        if (not key.startswith(("time/", "_")) or key in steps)
        and key not in TIMED
        and not key.endswith(("path", "/sha256", "/size", "_id"))
    }


def logs(run: Run) -> Iterator[Rows]:
    """Evaluations, CSV, TensorBoard and W&B."""
    yield list(map(untimed, run.evaluations()))
    yield list(map(untimed, read_csv(run.progress)))
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    yield [
        {"tag": tag, "step": event.step, "value": event.value}
        for tag in sorted(events.Tags()["scalars"])
        for event in events.Scalars(tag)
        if not tag.startswith("time/")
    ]
    yield [untimed(row) for file in run_files(run.folder) for row in read_rows(file)[0]]


@pytest.mark.parametrize("update", [5, 7])
def test_killed_and_resumed(tiny: Config, monkeypatch: pytest.MonkeyPatch, update: int) -> None:
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
    for expected, found in zip(logs(whole.run), logs(again.run), strict=True):
        for one, other in zip(expected, found, strict=True):
            differ = {
                k: (one.get(k), other.get(k)) for k in one.keys() | other.keys() if one.get(k) != other.get(k)
            }
            assert not differ, differ
