"""docs/reference/metrics.md explains each key that is logged, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3.common.logger import Logger

from expirespan.agents import MemoryA2C, MemoryPPO
from expirespan.experiments.episodes.cue_retention import Retention
from expirespan.experiments.sequence import SequenceConfig, train_sequence
from expirespan.experiments.sequence.config import CopyTask
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    CompressiveSettings,
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    LessonSettings,
    PPOSettings,
)
from expirespan.experiments.training.train import train

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def explained() -> set[str]:
    """The keys at the start of the page's rows; several share a row if their explanation is one."""
    cells = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every key given to a logger from now on; layers are counted as one."""
    keys: set[str] = set()
    before = Logger.record

    def record(self: Logger, key: str, *args: Any, **kwargs: Any) -> None:
        keys.add(re.sub(r"layer\d+", "layer{i}", key))
        before(self, key, *args, **kwargs)

    monkeypatch.setattr(Logger, "record", record)
    return keys


def everything(folder: Path) -> Iterator[Any]:
    """Trainings of a second or two that together log all there is."""
    memory = ExpireSpanSettings(width=16, heads=2, max_span=32, ramp=4)
    yield train(
        Config(
            recipe="tiny",
            total_timesteps=512,
            num_envs=8,
            env=CorridorSettings(3, 4),
            eval_env=CorridorSettings(3, 4),
            memory=memory,
            algorithm=PPOSettings(n_steps=16, batch_size=64, n_epochs=1),
            evaluation=EvaluationSettings(every=256, episodes=8, num_envs=4),
            penalty=AdaptivePenaltySettings(),
            forgetting=LessonSettings(),
            runs=str(folder),
            wandb="offline",
            tensorboard=False,
            progress=False,
        )
    )
    kwargs = dict(
        memory="compressive", memory_kwargs=dict(width=8, window=4, slots=2, factor=2, layers=1, heads=2)
    )
    clipped = MemoryPPO(
        "MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, clip_range_vf=0.2, policy_kwargs=kwargs
    )
    yield clipped.learn(64, log_interval=1)
    yield MemoryA2C("MlpPolicy", gym.make("Pendulum-v1"), n_steps=8).learn(16, log_interval=1)
    small = SequenceConfig(
        task=CopyTask(delay=6, shortest=2, payload=1, symbols=3),
        memory=replace(memory, layers=1),
        rows=4,
        block=8,
        updates=2,
        warmup=1,
        evaluate_every=2,
        evaluation_steps=16,
        evaluation_rows=2,
        runs=str(folder),
        wandb="off",
        tensorboard=False,
        progress=False,
    )
    yield train_sequence(small)
    yield train_sequence(
        replace(small, memory=CompressiveSettings(width=16, heads=2, window=6, slots=3, factor=3))
    )


@pytest.mark.slow
def test_every_key_that_is_logged_is_explained(logged: set[str], tmp_path: Path) -> None:
    assert all(everything(tmp_path))
    logged |= {
        f"eval/retention_{item.name}" for item in fields(Retention)
    }  # two of them need an episode that succeeds
    assert sorted(logged - explained()) == [], "logged, and not on the page"
    assert sorted(explained() - logged) == [], "on the page, and never logged"
