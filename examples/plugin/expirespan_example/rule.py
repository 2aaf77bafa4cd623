"""A rule for forgetting: a fixed random choice of states is kept for long, as a control for rules that learn it."""

from __future__ import annotations

from statistics import NormalDist
from typing import Annotated

import torch
from torch import Tensor

from expirespan.memory import Rule
from expirespan.ranges import Range, checked


class RandomSpans(Rule):
    """Keeps about ``share`` of all states for ``long`` steps and the others for ``short``; nothing is learned.

    A state h, normalised as a Transformer's layer reads it, is kept for long if h u > z: u is a random direction of
    length 1 and z the quantile of the standard normal distribution that a share of ``share`` exceeds.
    """

    @checked
    def __init__(
        self,
        short: Annotated[int, Range(0, 2**20, unit="steps")] = 8,
        long: Annotated[int, Range(1, 2**20, unit="steps")] = 128,
        share: Annotated[float, Range(0, 1, above=True, below=True)] = 0.1,
    ) -> None:
        super().__init__()
        self.short, self.long = float(short), float(long)
        self.threshold = NormalDist().inv_cdf(1 - share)
        self.max_span = max(self.short, self.long)
        self.direction: Tensor

    def attach(self, width: int, heads: int = 1) -> None:
        """Draw the direction: a buffer, which is saved with the weights and not trained."""
        drawn = torch.randn(width)
        self.register_buffer("direction", drawn / drawn.norm())

    def spans(self, h_BSD: Tensor) -> Tensor:
        """``long`` or ``short`` steps for each state."""
        return torch.where(h_BSD @ self.direction > self.threshold, self.long, self.short)
