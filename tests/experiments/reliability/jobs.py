"""Small runs of `train` and `sequence`, which can be stopped and resumed."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.train import final_score, train_sequence
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    PPOSettings,
)
from expirespan.experiments.training.train import train


@dataclass(frozen=True)
class Job:
    """Something that trains in a folder of runs, and can be resumed."""

    name: str
    start: Callable[[Path], None]
    resume: Callable[[Run], None]


def agent_config(runs: Path) -> Config:
    """Two evaluations, three rows and two checkpoints, of which one is kept; a second on one core."""
    return Config(
        recipe="agent",
        total_timesteps=32,
        num_envs=2,
        env=CorridorSettings(3, 3),
        eval_env=CorridorSettings(3, 3),
        memory=ExpireSpanSettings(width=8, layers=1, heads=1, max_span=16, ramp=2),
        algorithm=PPOSettings(n_steps=8, batch_size=16, n_epochs=1),
        evaluation=EvaluationSettings(every=16, episodes=2, num_envs=2, step_limit=6),
        checkpoints=1,
        runs=str(runs),
        wandb="off",
        progress=False,
    )


def sequence_config(runs: Path) -> SequenceConfig:
    """Evaluates after updates 2, 4 and 5, saves after 2, 4 and 5."""
    return SequenceConfig(
        recipe="sequence",
        task=CopyTask(delay=6, shortest=None, payload=1),
        memory=ExpireSpanSettings(width=8, layers=1, heads=2, max_span=20),
        rows=2,
        block=8,
        updates=5,
        evaluate_every=2,
        save_every=2,
        evaluation_steps=16,
        evaluation_rows=2,
        checkpoints=1,
        runs=str(runs),
        wandb="off",
        progress=False,
    )


def _sequence(runs: Path, run: Run | None = None) -> None:
    result = train_sequence(sequence_config(runs), run)
    final_score(result.trainer, result.run)


def _agent(runs: Path, run: Run | None = None) -> None:
    train(agent_config(runs), run)


JOBS = {
    "train": Job("train", _agent, lambda run: _agent(run.folder.parent.parent, run)),
    "sequence": Job("sequence", _sequence, lambda run: _sequence(run.folder.parent.parent, run)),
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing printed, no warnings."""
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with out, err, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
