from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    PPOSettings,
)
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.experiments.tracking.wandb_files import read_rows, run_files
from expirespan.experiments.training import train
from expirespan.experiments.viewer import episode_media

Rows = list[dict[str, Any]]


@pytest.fixture
def logs_of() -> Callable[[Run], Iterator[Rows]]:
    """Reads what a run has logged: evaluations, CSV, TensorBoard and W&B."""

    def read(run: Run) -> Iterator[Rows]:
        yield run.evaluations()
        yield list(read_csv(run.progress))
        events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
        yield [
            {"tag": tag, "step": event.step, "value": event.value}
            for tag in sorted(events.Tags()["scalars"])
            for event in events.Scalars(tag)
        ]
        files = run_files(run.folder)
        if files:
            wait_for_the_end(files[-1])
        yield [row for file in files for row in read_rows(file)[0]]

    return read


def wait_for_the_end(file: Path, seconds: float = 60) -> None:
    """W&B's own process may still be writing when a run has ended; on a busy machine the last rows come late."""
    begun = time.monotonic()
    while not read_rows(file)[1] and time.monotonic() - begun < seconds:
        time.sleep(0.05)


@pytest.fixture
def tiny(tmp_path: Path) -> Config:
    """Trains for a second or two and learns nothing."""
    return Config(
        recipe="tiny",
        total_timesteps=1024,
        num_envs=8,
        env=CorridorSettings(3, 4),
        eval_env=CorridorSettings(3, 4),
        memory=ExpireSpanSettings(width=16, heads=2, max_span=32, ramp=4),
        algorithm=PPOSettings(n_steps=16, batch_size=64, n_epochs=1),
        evaluation=EvaluationSettings(every=512, episodes=8, num_envs=4),
        checkpoints=2,
        runs=str(tmp_path / "runs"),
        wandb="off",
        tensorboard=False,
        progress=False,
    )


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the pictures, which take half of the time of such short training."""

    def draw(trace: EpisodeTrace, path: Path, image_of: Any = None) -> Path:
        path.write_text("a picture")
        return path

    monkeypatch.setattr(train, "draw_retention", draw)
    monkeypatch.setattr(episode_media, "draw_heatmap", lambda trace: np.zeros((4, 4, 3), np.uint8))


@pytest.fixture
def make_trace() -> Any:
    """Traces of any size: layer 1 keeps its first two states, the cues; all others die in three steps."""

    def make(steps: int, layers: int = 2) -> EpisodeTrace:
        span = np.full((layers, steps), 2.0)
        span[:1, :2] = steps
        death = np.minimum(np.arange(steps) + 3, steps) + np.zeros((layers, 1))
        death[:1, :2] = steps
        return EpisodeTrace(
            observation=np.eye(6, dtype=np.uint8)[np.zeros((steps, 3, 3), int)],
            action=np.zeros(steps, np.int64),
            reward=np.zeros(steps, np.float32),
            value=np.zeros(steps, np.float32),
            cue=np.arange(steps) < 2,
            span=span.astype(np.float32),
            alive=np.minimum(np.arange(steps) + 1, 5).astype(np.int32) + np.zeros((layers, 1), np.int32),
            death=death.astype(np.int32),
            about={"env": "ExpireSpan/Corridor-v0", "success": True, "ramp": 1, "trained_steps": 10},
        )

    return make
