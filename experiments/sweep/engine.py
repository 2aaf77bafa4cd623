"""What a sweep asks of whatever runs its trials: of an engine that runs single jobs, and of a runner that runs all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One process to run. ``name``: of its trial; ``args``: of `expirespan`; its output is appended to ``log``.

    ``lock``: a file that nothing else uses. ``threads``: that the process will use.
    """

    name: str
    args: tuple[str, ...]
    log: Path
    lock: Path
    threads: int = 1


@dataclass(frozen=True)
class Ended:
    """A job that has ended. ``code``: its exit code, negative for a signal; None where nobody knows it."""

    code: int | None


class Signal(Protocol):
    """Whether somebody asked to stop."""

    requested: bool


class Runner(Protocol):
    """Runs the trials of a plan and notes in it what becomes of them."""

    def run(self, signal: Signal) -> None:
        """Until every trial is done, pruned or has failed, or all have stopped after ``signal``.

        KeyboardInterrupt, which a second signal raises, stops the trials at once.
        """


class Engine(Protocol):
    """Runs jobs. A job goes on when the driver of its sweep dies; the next driver finds it again."""

    def submit(self, job: Job) -> None:
        """Start a job, or queue it."""

    def find(self, job: Job) -> bool:
        """Whether an earlier driver's job of that name is still there; `poll` and `stop` then work on it."""

    def poll(self, job: Job) -> Ended | None:
        """How a job ended; None as long as it has not."""

    def stop(self, job: Job) -> None:
        """Ask a job to save and end; asked a second time, it ends at once."""
