"""A run that is killed and resumed leaves what an uninterrupted one leaves: every step once, and the same numbers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.train import train_sequence
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings import ExpireSpanSettings
from expirespan.experiments.tracking.log_files import STEP, read_csv


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


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without W&B's times."""
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 5, 7, 8, 11])
def test_killed_and_resumed(
    config: SequenceConfig, monkeypatch: pytest.MonkeyPatch, logs_of: Any, at: int
) -> None:
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
    time.sleep(1.1)  # TensorBoard and W&B name their files by the second
    again = train_sequence(broken, run)
    assert again.trainer.update_number == 12
    for expected, found in zip(logs_of(whole.run), logs_of(again.run), strict=True):
        assert untimed(found) == untimed(expected)
    steps = [int(row[STEP]) for row in read_csv(again.run.progress)]
    assert steps == sorted(set(steps))
