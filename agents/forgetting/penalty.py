"""Price of memories over the course of training: the coefficient alpha of the span penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from expirespan.parameters import Decay, Growth, PositivePrice, Price, Score, SomeSteps, Steps
from expirespan.ranges import check_fields, require


class PenaltySchedule(Protocol):
    """Called once per rollout, before the update.

    ``num_timesteps``: environment steps so far. ``score``: mean success (or, where an environment reports no
    success, mean return) of recent episodes acted with forgetting, None until there are any. Returns
    alpha >= 0: per step of mean span or, with a lesson in forgetting, per unit of mean log span. It is a protocol: any
    function with these arguments is one.
    """

    def __call__(self, num_timesteps: int, score: float | None) -> float:
        """Alpha for the coming update."""


@dataclass
class ConstantPenalty:
    """The paper's choice (arXiv 2105.06548, eq. 7): one ``coef`` from the first step.

    Raises:
        ValueError: ``coef`` is negative or not finite.
    """

    coef: Price

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_timesteps: int, score: float | None) -> float:
        """The coefficient."""
        return self.coef


@dataclass
class WarmupPenalty:
    """0 until ``start`` environment steps, then rising linearly to ``coef`` within ``steps``. Not in the paper.

    Raises:
        ValueError: an argument is outside of its range.
    """

    coef: Price
    start: SomeSteps
    steps: Steps

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_timesteps: int, score: float | None) -> float:
        """The coefficient at this point of the ramp."""
        return self.coef * min(max((num_timesteps - self.start) / self.steps, 0.0), 1.0)


SETBACK = 3
"""Rollouts of success that one without it undoes, see `AdaptivePenalty.settle`."""
LEAST = 0.01
"""The price falls to no less than this fraction of ``coef``: otherwise it would need hundreds of rollouts to return."""


@dataclass
class AdaptivePenalty:
    """0 until the score first reaches ``target``; from then ``coef``, multiplied after every rollout.

    By ``growth`` (>= 1) while the score holds the target, up to ``maximum`` (None: ``coef`` itself); by ``decay``
    (<= 1) while it does not, down to `LEAST` of ``coef``. ``settled``: see `settle`. Not in the
    paper; docs/forgetting.md has the experiments.

    Raises:
        ValueError: an argument is outside of its range, or ``maximum`` is below ``coef``.
    """

    coef: PositivePrice
    target: Score
    growth: Growth = 1.1
    decay: Decay = 0.8
    maximum: PositivePrice | None = None
    current: float = 0.0
    settled: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        ok = self.maximum is None or self.maximum >= self.coef
        require(ok, "maximum", self.maximum, f"None or at least coef={self.coef}")

    def __call__(self, num_timesteps: int, score: float | None) -> float:
        """The coefficient after this rollout's score."""
        good = score is not None and score >= self.target
        if self.current == 0.0:
            self.current = self.coef if good else 0.0
        else:
            most = self.coef if self.maximum is None else self.maximum
            changed = self.current * (self.growth if good else self.decay)
            self.current = min(max(changed, LEAST * self.coef), most)
        return self.current

    def settle(self, score: float | None, full_score: float | None) -> None:
        """Count the rollouts, after the first with a price, in which the target held, less `SETBACK` for failures.

        A failure is one with full memory (``full_score``): where only agents that forget fail, spans have to move
        and the policy has not. Were it to move as well, hidden states would drift, and spans with them.
        """
        if full_score is not None and full_score < self.target:
            self.settled = max(self.settled - SETBACK, 0)
        elif score is not None and score >= self.target:
            self.settled += 1


def as_schedule(penalty: float | PenaltySchedule) -> PenaltySchedule:
    """A number means a constant coefficient."""
    return ConstantPenalty(penalty) if isinstance(penalty, (int, float)) else penalty
