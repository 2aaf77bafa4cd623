"""Decay of the price of memory once nothing more is forgotten.

What is left to forget then are memories that the policy needs. The price would go on to shorten their spans until the
divergence shows it, again and again: the span of the corridor's ball swung between 182 and 227 steps, where 193 are
needed. Without a price the divergence alone moves the spans, up to the margin that the lesson asks for.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

PROGRESS = 0.97
"""Memory below this fraction of the least so far is progress."""
RELAX = 1.003
"""The least so far rises by this factor per rollout, for what had to be remembered anew may be forgotten again."""
DECAY, GROWTH = 0.95, 1.3
"""Factors of the price after a rollout without progress, and after one with progress."""


@dataclass
class PriceDecay:
    """``factor`` of the price, within (0, 1]. ``least``: memory so far, see `update`."""

    factor: float = 1.0
    least: float = math.inf

    def update(self, memory: float, share: float = 1.0) -> None:
        """Take in a rollout's ``memory``: the mean life of a memory (span and ramp, in steps), summed over layers.

        ``share``: of the price that was asked, within [0, 1]. Where divergence or setbacks left none, memory could not
        have become less because of it, and nothing changes.
        """
        if share > 0 and memory < PROGRESS * self.least:
            self.least = memory
            self.factor = min(1.0, GROWTH * self.factor)
        else:
            self.least *= RELAX**share
            self.factor *= DECAY**share

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Inverse of `state_dict`."""
        self.factor, self.least = state["factor"], state["least"]
