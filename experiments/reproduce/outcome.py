"""Outcome of one seed, as stored in a JSON file, and whether the claim holds for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expirespan.experiments.reproduce.claims import Claim
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.settings import texts
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said, shown


@dataclass(frozen=True)
class Scored:
    """A checkpoint under one measure; ``interval`` of the score, 95 %; ``at_end``: alive when the longest ended."""

    score: float
    interval: list[float] | None
    alive: list[float]
    at_end: list[float] | None


@dataclass(frozen=True)
class Outcome:
    """``commands`` in order; ``provenance``: commit, machine, versions and time of the training.

    ``target``: step at which the target was reached, None if it was not. ``steps``, ``seconds``: of all training.
    ``evaluations``: those on the way, of each the step, score and memories alive when the longest episodes ended.
    ``last`` and ``best``: the checkpoints' scores by measure.
    """

    task: str
    seed: int
    commands: list[str]
    provenance: dict[str, Any]
    target: int | None
    steps: int
    seconds: float
    evaluations: list[dict[str, Any]]
    last: dict[str, Scored] = field(default_factory=dict)
    best: dict[str, Scored] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Write ``TASK-SEED.json``."""
        path = folder / f"{self.task}-{self.seed}.json"
        lines = json.dumps(asdict(self), indent=1)
        write_text(path, lines + "\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Inverse of `save`.

        Raises:
            UserError: the file holds something different.
        """
        try:
            data = texts.read_json(path)
            for which in ("last", "best"):
                data[which] = {name: Scored(**scored) for name, scored in data[which].items()}
            return cls(**data)._checked()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{path} is no outcome of `expirespan reproduce`: {said(error)}; remove it"
            ) from None

    def _checked(self) -> Outcome:
        """This outcome, if its numbers are numbers; ValueError otherwise."""
        scored = [*self.last.values(), *self.best.values()]
        counts = [self.seed, self.steps, *([] if self.target is None else [self.target])]
        numbers = [self.seconds, *counts, *(e["score"] for e in self.evaluations), *(s.score for s in scored)]
        numbers += [e["step"] for e in self.evaluations]
        numbers += [n for s in scored for n in (*s.alive, *(s.at_end or ()), *(s.interval or ()))]
        wrong = [number for number in numbers if not texts.is_number(number)]
        if wrong or not isinstance(self.task, str):
            raise ValueError(
                f"{shown((wrong or [self.task])[0], 60)} stands where a number or name is expected"
            )
        return self

    def solved(self, least: float) -> int | None:
        """Step of the first evaluation that reached ``least``."""
        return next((e["step"] for e in self.evaluations if e["score"] >= least), None)

    def after_target(self) -> list[float]:
        """Scores of the evaluations from the target on."""
        return [e["score"] for e in self.evaluations if self.target is not None and e["step"] >= self.target]


def shortcomings(claim: Claim, outcome: Outcome) -> list[str]:
    """Where an outcome falls short of the claim, in words; none if it holds."""
    found = []
    if claim.target and outcome.target is None:
        found.append(f"target not reached within {outcome.steps:,} steps")
    if claim.least is not None:
        after = outcome.after_target()
        low = [score for score in after if score < claim.least]
        if low:
            found.append(
                f"{len(low)} of {len(after)} evaluations after the target below {claim.least}, least {min(low):.3f}"
            )
        for name, last in outcome.last.items():
            best = outcome.best[name].score
            if last.score < claim.least:
                found.append(f"{name}: {last.score:.3f} by the last checkpoint, claimed {claim.least}")
            if last.score < best - claim.slack:
                found.append(f"{name}: {last.score:.3f} by the last checkpoint, {best:.3f} by the best")
    at_end = next(iter(outcome.last.values())).at_end if outcome.last else None
    if claim.alive is not None and at_end and max(at_end) > claim.alive:
        found.append(f"{max(at_end):.1f} memories alive at the end, claimed {claim.alive:g}")
    return found
