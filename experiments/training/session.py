"""Session of one run, from its folder to its end, shared by `expirespan train` and `expirespan sequence`.

A checkpoint is saved before what follows from it, an evaluation and its rows in the logs, and with it a note of what
was logged by then. When a run is resumed, the logs are cut back to that note and what follows is done again. Once
an evaluation is complete, its checkpoint's note says so; then nothing is cut and nothing done twice.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from stable_baselines3.common.logger import KVWriter, Logger

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.run_folder.run import Run, RunSettings
from expirespan.experiments.settings.config_file import to_dict, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.tracking import WandbSettings
from expirespan.experiments.tracking.log_files import CSVWriter, TensorBoardWriter
from expirespan.experiments.tracking.loggers import OpenLogger, find_loggers
from expirespan.experiments.tracking.wandb_writer import WandbWriter
from expirespan.experiments.training.interrupt import StopOnSignal
from expirespan.experiments.training.process_memory import BOUNDED, choose_malloc


class SessionSettings(RunSettings, Protocol):
    """What a session reads of the settings."""

    @property
    def wandb(self) -> Literal["auto", "offline", "off"]:
        """Whether W&B is used."""

    @property
    def wandb_run(self) -> WandbSettings:
        """How W&B files the run."""

    @property
    def tensorboard(self) -> bool:
        """Whether TensorBoard files are written."""

    @property
    def loggers(self) -> tuple[str, ...]:
        """Writers of logs that plugins add."""

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


@dataclass
class Session:
    """A run under way. ``signal.requested``: somebody asked it to stop."""

    config: SessionSettings
    run: Run
    logger: Logger
    signal: StopOnSignal
    csv: CSVWriter
    tensorboard: TensorBoardWriter | None
    evaluations: int
    """How many are recorded."""
    _noted: dict[str, Any] = field(default_factory=dict)

    def note(self) -> None:
        """Remember what is logged now: that a run goes on from here if it stops within what comes next."""
        self._noted = self._logged()

    def save(self, learner: Learner, pending: dict[str, Any] | None = None) -> Path:
        """Save a checkpoint; the oldest goes.

        ``pending``: what the learner's checkpoint does not hold and an evaluation after it will log.
        """
        at_rest = learner.resumable_timesteps == learner.num_timesteps
        logged = self._logged() if at_rest or not self._noted else self._noted
        self._sync()
        return self.run.save_checkpoint(
            learner, self.config.checkpoints, {"saved": logged, "pending": pending or {}}
        )

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The evaluations so far."""
        return self.run.evaluations()

    def keep(self, trace: EpisodeTrace, step: int) -> None:
        """Save the episode that the evaluation at a step has recorded."""
        trace.save(self.run.trace_at(step))

    def take_as_best(self, checkpoint: Path) -> None:
        """Keep a checkpoint as the best."""
        self.run.take_as_best(checkpoint)

    def is_complete(self, step: int) -> bool:
        """See `is_complete`."""
        return is_complete(self.run, step)

    def add_evaluation(self, entry: dict[str, Any]) -> None:
        """Record an evaluation."""
        self.run.add_evaluation(entry)
        self.evaluations += 1

    def complete(self, learner: Learner) -> None:
        """Say that all that follows from the checkpoint at this step is done and logged."""
        step = learner.resumable_timesteps
        if self.run.checkpoint_at(step).exists():
            self._sync()
            self.run.note_logged(step, self.run.logged(step) | {"complete": self._logged()})

    def _logged(self) -> dict[str, Any]:
        sizes = {} if self.tensorboard is None else self.tensorboard.sizes()
        return {"rows": self.csv.rows, "evaluations": self.evaluations, "tensorboard": sizes}

    def _sync(self) -> None:
        self.csv.sync()
        self.run.sync_evaluations()
        if self.tensorboard is not None:
            self.tensorboard.sync()


def is_complete(run: Run, step: int) -> bool:
    """Whether what follows from the checkpoint of a step, an evaluation if one is due, is done and logged."""
    found = run.logged(step)
    return "complete" in found or (not found and any(entry["step"] == step for entry in run.evaluations()))


@contextmanager
def session(
    config: SessionSettings, learner: Learner, resume: Run | None, writers: Sequence[KVWriter] = ()
) -> Iterator[Session]:
    """A run with these settings, new or that of ``resume``; it ends, and its logs are closed, with the block.

    The learner of a resumed run stands where its checkpoint was saved, or at step 0 if there is none; what was logged
    later is dropped, so that every step is logged once. Whoever resumes a run has its lock; a new one is locked here.
    ``writers``: others that log.

    Raises:
        UserError: a logger is not known, the folder cannot be written, or something is raised within the block; then
            the message names the last checkpoint, and the traceback is in ``error.txt`` in the run's folder.
    """
    plugged = find_loggers(config.loggers)
    choose_malloc(BOUNDED)
    with ExitStack() as stack:
        run = resume or Run.create(config)
        if resume is None:
            stack.enter_context(locked(run.folder))
        try:
            opened = _open(stack, config, learner, run, resume is not None, writers, plugged)
            with opened.signal:
                yield opened
        except UserError as error:
            raise stopped(run, error) from error
        except KeyboardInterrupt:
            print(last_checkpoint(run), file=sys.stderr)
            raise
        except Exception as error:
            raise stopped(run, error) from error


def _open(
    stack: ExitStack,
    config: SessionSettings,
    learner: Learner,
    run: Run,
    resumed: bool,
    writers: Sequence[KVWriter],
    plugged: Sequence[OpenLogger],
) -> Session:
    """Logs that go on where the learner stands; ``stack`` closes them."""
    for writer in writers:
        stack.callback(_close, writer)
    until: int | None = None
    then: dict[str, Any] = {}
    if resumed:
        until = learner.num_timesteps
        then = _logged_by(run, until)
        run.tidy()
        run.drop_checkpoints(config.checkpoints)
        run.keep_evaluations(then["evaluations"])
        write_text(run.folder / "config.yaml", to_yaml(config))
    csv = CSVWriter(run.progress, until, then.get("rows"))
    kept = csv.steps() if "rows" in then else None
    logs: list[KVWriter] = [csv]
    logs.append(
        WandbWriter(run.folder, run.name, to_dict(config), config.wandb, until, kept, config.wandb_run)
    )
    stack.callback(_close, logs[-1])
    tensorboard = None
    if config.tensorboard:
        tensorboard = TensorBoardWriter(str(run.folder / "tensorboard"), until, then.get("tensorboard"))
        logs.append(tensorboard)
        stack.callback(_close, tensorboard)
    for open_logger in plugged:
        logs.append(open_logger(run.folder, until))
        stack.callback(_close, logs[-1])
    logger = Logger(str(run.folder), [*logs, *writers])
    return Session(config, run, logger, StopOnSignal(), csv, tensorboard, then.get("evaluations", 0))


def _close(writer: KVWriter) -> None:
    """Close a log. What fails there is no reason to stop: all that counts is written by then."""
    try:
        writer.close()
    except Exception as error:
        warnings.warn(f"{type(writer).__name__} could not be closed: {error}", stacklevel=2)


def _logged_by(run: Run, step: int) -> dict[str, Any]:
    """What was logged when the run stood at a step: rows, evaluations, bytes of TensorBoard's files."""
    if not run.checkpoint_at(step).exists():  # it begins anew
        return {"rows": 0, "evaluations": 0, "tensorboard": {}}
    found = run.logged(step)
    if found:
        logged: dict[str, Any] = found.get("complete", found["saved"])
        return logged
    return {"evaluations": sum(entry["step"] <= step for entry in run.evaluations())}


def stopped(run: Run, error: Exception) -> UserError:
    """The user error for an error in training; the traceback goes to a file."""
    report = run.folder / "error.txt"
    try:
        write_text(report, traceback.format_exc())
        details = f"details are in {report}"
    except OSError:
        details = "details could not be written"
    known = isinstance(error, UserError | ValueError | ArithmeticError | OSError | MemoryError | RuntimeError)
    kind = "" if known and str(error) else f"{type(error).__name__}: "
    said = kind + " ".join(str(error).split())
    return UserError(f"training stopped: {said.rstrip('. ')}; {last_checkpoint(run)}; {details}")


def last_checkpoint(run: Run) -> str:
    """Where a run that has stopped goes on."""
    saved, resume = run.step_checkpoints(), f"--resume {quoted(run.folder)}"
    if not saved:
        return f"there was no checkpoint yet; {resume} begins again"
    return f"the last checkpoint is {saved[-1]}; {resume} goes on there"
