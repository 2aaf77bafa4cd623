"""Spans and memories alive during a rollout, for the logger."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch as th
from stable_baselines3.common.logger import Logger

from expirespan.agents.base.histogram import Histogram
from expirespan.memory import MemoryState, Trace, TransformerState

AT_BOUND = 0.01
"""Spans this near 0 or the longest span, as a fraction of it, count as being at that bound."""


class RolloutSpans:
    """Spans given and memories read. ``counted`` (N,) bool: environments whose memories expire as they will in use."""

    def __init__(self, counted: th.Tensor) -> None:
        self.counted = counted
        self.spans: list[list[th.Tensor]] = []
        self.alive: list[list[th.Tensor]] = []
        self.written: list[th.Tensor] = []

    def add(self, trace: Trace, state: MemoryState) -> None:
        """Take in one step's trace and the state after it."""
        self.spans.append([span[:, 0] for span in trace.spans])
        self.alive.append([alive[:, 0] for alive in trace.alive])
        if isinstance(state, TransformerState):
            self.written.append(state.time_B)

    def record(self, logger: Logger, longest: Sequence[float]) -> None:
        """Write ``expire/layer{i}/...`` given the longest span of each layer.

        Spans are of all environments, in steps. Memories alive, and the share of the states written in the
        episode so far that is freed, are of those counted. Nothing if there was no step.
        """
        if not self.spans:
            return
        span_TLB = th.stack([th.stack(step) for step in self.spans])
        most_L = span_TLB.new_tensor(longest)
        share_TLB = span_TLB / most_L[:, None]
        counted_B = self.counted.to(span_TLB)
        read_TLB = th.stack([th.stack(step) for step in self.alive]) * counted_B
        written = (th.stack(self.written) * counted_B).sum()
        of_layers = {
            "span_mean": span_TLB.mean((0, 2)),
            "span_max": span_TLB.amax((0, 2)),
            "span_at_min": (share_TLB <= AT_BOUND).float().mean((0, 2)),
            "span_at_max": (share_TLB >= 1 - AT_BOUND).float().mean((0, 2)),
            "alive": read_TLB.sum((0, 2)) / (len(self.spans) * counted_B.sum()),
            "freed": 1 - read_TLB.sum((0, 2)) / written,
        }
        read = th.stack(
            [value.float() for value in of_layers.values()]
        ).tolist()  # one wait for a device, and one for each histogram
        for i, (values, most) in enumerate(zip(zip(*read, strict=True), longest, strict=True)):
            key, found = f"expire/layer{i}", dict(zip(of_layers, values, strict=True))
            finite = math.isfinite(found["span_mean"])
            for name, value in found.items():
                if finite or not name.startswith("span"):
                    logger.record(f"{key}/{name}", value)
            if finite:
                histogram = Histogram.of(span_TLB[:, i], 0.0, most)
                logger.record(f"{key}/spans", histogram, exclude=("stdout", "log", "json", "csv"))
