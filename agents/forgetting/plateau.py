"""A price for environments of which nobody knows what a good score is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from expirespan.agents.forgetting.penalty import AdaptivePenalty
from expirespan.parameters import Slack, SomeSteps, UnknownScore, Wait

PROGRESS = 0.05
"""A score above the last best by this fraction of the range of scores so far is progress."""


@dataclass
class PlateauPenalty(AdaptivePenalty):
    """`AdaptivePenalty` whose ``target`` is the run's own: what it had reached when it made no more progress.

    There is no price until the score has made no progress for ``patience`` environment steps, and for the fraction
    ``wait`` of all steps so far. From then the target is the best score less ``slack`` times the range of scores seen,
    and rises with the best score. ``lowest`` and ``best``: scores seen; ``mark``: the score that last counted as
    progress, ``marked_at``: the environment step of it. Not in the paper.

    Raises:
        ValueError: an argument is outside of its range.
    """

    target: UnknownScore = math.inf
    slack: Slack = 0.1
    wait: Wait = 1 / 3
    patience: SomeSteps = 50_000
    lowest: float = math.inf
    best: float = -math.inf
    mark: float = -math.inf
    marked_at: int = 0

    def __call__(self, num_timesteps: int, score: float | None) -> float:
        """The coefficient after this rollout's score."""
        if score is not None:
            self._take_in(num_timesteps, score)
        return super().__call__(num_timesteps, score)

    def _take_in(self, num_timesteps: int, score: float) -> None:
        self.lowest, self.best = min(self.lowest, score), max(self.best, score)
        if self.mark == -math.inf or score > self.mark + PROGRESS * (self.best - self.lowest):
            self.mark, self.marked_at = score, num_timesteps
        self.marked_at = min(self.marked_at, num_timesteps)  # a second `learn` counts from 0 again
        stalled = num_timesteps - self.marked_at
        rests = stalled >= max(self.patience, self.wait * num_timesteps)
        if self.target < math.inf or (rests and self.best > self.lowest):
            self.target = self.best - self.slack * (self.best - self.lowest)
