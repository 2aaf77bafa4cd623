"""Session of one run, from its folder to its end, shared by `expirespan train` and `expirespan sequence`.

A session opens or makes the run's folder, drops what was logged after the checkpoint that a resumed run goes on from,
logs, saves checkpoints and evaluations, stops on Ctrl-C, and reports what remains when training fails.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from stable_baselines3.common.logger import KVWriter, Logger

from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.run import Run, RunSettings
from expirespan.experiments.settings.config_file import to_dict, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import CSVWriter, TensorBoardWriter
from expirespan.experiments.tracking.wandb_writer import WandbWriter
from expirespan.experiments.training.interrupt import StopOnSignal


class SessionSettings(RunSettings, Protocol):
    """What a session reads of the settings."""

    @property
    def wandb(self) -> Literal["auto", "offline", "off"]:
        """Whether W&B is used."""

    @property
    def tensorboard(self) -> bool:
        """Whether TensorBoard files are written."""

    @property
    def checkpoints(self) -> int:
        """Newest checkpoints to keep."""


class Learner(Protocol):
    """What is trained: an agent, or the trainer of a sequence task."""

    @property
    def num_timesteps(self) -> int:
        """Steps so far."""

    @property
    def resumable_timesteps(self) -> int:
        """Steps at which it goes on if it is saved now and resumed."""

    def save(self, path: Any) -> None:
        """Write everything that its future depends on."""


@dataclass(frozen=True)
class Session:
    """A run under way. ``signal.requested``: somebody asked it to stop."""

    config: SessionSettings
    run: Run
    logger: Logger
    signal: StopOnSignal

    def save(self, learner: Learner) -> Path:
        """Save a checkpoint; the oldest goes."""
        return self.run.save_checkpoint(learner, self.config.checkpoints)


@contextmanager
def session(
    config: SessionSettings, learner: Learner, resume: Run | None, writers: Sequence[KVWriter] = ()
) -> Iterator[Session]:
    """A run with these settings, new or that of ``resume``; it ends, and its logs are closed, with the block.

    The learner of a resumed run stands where its checkpoint was saved; what was logged later is dropped, so that every
    step is logged once. ``writers``: others that log.

    Raises:
        UserError: the folder cannot be written, or what is raised within the block is a matter of settings, numbers,
            memory or files; its traceback is then in ``error.txt`` in the run's folder.
    """
    run = resume or Run.create(config)
    until = None
    if resume is not None:
        until = learner.num_timesteps
        run.drop_evaluations(after=until)
        write_text(run.folder / "config.yaml", to_yaml(config))
    own: list[KVWriter] = [
        CSVWriter(run.progress, until),
        WandbWriter(run.folder, run.name, to_dict(config), config.wandb, until),
    ]
    if config.tensorboard:
        own.append(TensorBoardWriter(str(run.folder / "tensorboard"), until))
    logger = Logger(str(run.folder), [*own, *writers])
    try:
        with StopOnSignal() as signal:
            yield Session(config, run, logger, signal)
    except (ValueError, ArithmeticError, OSError, MemoryError, RuntimeError) as error:
        raise stopped(run, error) from error
    finally:
        logger.close()


def stopped(run: Run, error: Exception) -> UserError:
    """The user error for an error in training; the traceback goes to a file."""
    report = run.folder / "error.txt"
    try:
        write_text(report, traceback.format_exc())
        details = f"details are in {report}"
    except OSError:
        details = "details could not be written"
    saved = run.step_checkpoints()
    last = f"the last checkpoint is {saved[-1]}" if saved else "there was no checkpoint yet"
    return UserError(f"training stopped: {' '.join(str(error).split())}; {last}; {details}")
