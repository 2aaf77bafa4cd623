"""A run that is killed and resumed leaves what an uninterrupted one leaves: every step once, and the same numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.train import train_sequence
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings import ExpireSpanSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.tracking.wandb_files import read_rows, run_files

Rows = list[dict[str, Any]]


class Killed(BaseException):
    """Stands for a process that is gone: nothing handles it."""


@pytest.fixture
def config(tmp_path: Path) -> SequenceConfig:
    """Evaluates every 3 updates, saves every 4, logs every 10 and at evaluations."""
    return SequenceConfig(
        task=CopyTask(delay=6, shortest=None, payload=1),
        memory=ExpireSpanSettings(width=8, layers=1, heads=2, max_span=20),
        rows=2,
        block=8,
        updates=12,
        evaluate_every=3,
        save_every=4,
        evaluation_steps=16,
        evaluation_rows=2,
        runs=str(tmp_path / "runs"),
        wandb="offline",
        progress=False,
    )


def logs(run: Run) -> Iterator[Rows]:
    """Evaluations, CSV, TensorBoard and W&B, without times."""
    yield run.evaluations()
    yield list(read_csv(run.progress))
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    yield [
        {"tag": tag, "step": event.step, "value": event.value}
        for tag in sorted(events.Tags()["scalars"])
        for event in events.Scalars(tag)
    ]
    shown = [row for file in run_files(run.folder) for row in read_rows(file)[0]]
    yield [{k: v for k, v in row.items() if not k.startswith("_")} for row in shown]


@pytest.mark.parametrize("at", [2, 5, 7, 8, 11])
def test_killed_and_resumed(config: SequenceConfig, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    whole = train_sequence(config)
    update = Trainer.update

    def dies(trainer: Trainer) -> dict[str, float]:
        if trainer.update_number == at:
            raise Killed
        return update(trainer)

    broken = replace(config, runs=f"{config.runs}-broken")
    monkeypatch.setattr(Trainer, "update", dies)
    with pytest.raises(Killed):
        train_sequence(broken)
    monkeypatch.setattr(Trainer, "update", update)
    run = Run.open(next((Path(broken.runs) / broken.recipe).iterdir()))
    if at < 4:
        with pytest.raises(UserError, match="no checkpoint yet"):
            train_sequence(broken, run)
        return
    time.sleep(1.1)  # TensorBoard and W&B name their files by the second
    again = train_sequence(broken, run)
    assert again.trainer.update_number == 12
    for expected, found in zip(logs(whole.run), logs(again.run), strict=True):
        assert found == expected
    steps = [int(row[STEP]) for row in read_csv(again.run.progress)]
    assert steps == sorted(set(steps))
