"""Session of a worker that writes nothing: it takes part in what the first worker saves and evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stable_baselines3.common.logger import Logger

from expirespan.experiments.training.interrupt import StopOnSignal


@dataclass
class Following:
    """In the place of a `Session`; ``entries``: the evaluations so far."""

    entries: list[dict[str, Any]]
    logger: Logger = field(default_factory=lambda: Logger(None, []))
    signal: StopOnSignal = field(default_factory=lambda: StopOnSignal(quiet=True))

    def note(self) -> None:
        """Nothing."""

    def save(self, learner: Any) -> None:
        """Nothing: the first worker saves what it has collected."""

    def keep(self, trace: Any, step: int) -> None:
        """Nothing."""

    def add_evaluation(self, entry: dict[str, Any]) -> None:
        """Remember an evaluation."""
        self.entries.append(entry)

    def take_as_best(self, checkpoint: Any) -> None:
        """Nothing."""

    def complete(self, learner: Any) -> None:
        """Nothing."""

    def is_complete(self, step: int) -> bool:
        """Only the first worker knows."""
        return False


@contextmanager
def following(entries: Sequence[dict[str, Any]]) -> Iterator[Following]:
    """A session that stops when it is asked to."""
    opened = Following(list(entries))
    with opened.signal:
        yield opened
