"""Spans and memories alive during a rollout, for the logger."""

from __future__ import annotations

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
        layers = zip(zip(*self.spans, strict=True), zip(*self.alive, strict=True), longest, strict=True)
        for i, (spans, alive, most) in enumerate(layers):
            span, key = th.stack(spans), f"expire/layer{i}"
            if th.isfinite(span).all():
                logger.record(f"{key}/span_mean", span.mean().item())
                logger.record(f"{key}/span_max", span.max().item())
                logger.record(f"{key}/span_at_min", (span <= AT_BOUND * most).float().mean().item())
                logger.record(f"{key}/span_at_max", (span >= (1 - AT_BOUND) * most).float().mean().item())
                histogram = Histogram.of(span, 0.0, most)
                logger.record(f"{key}/spans", histogram, exclude=("stdout", "log", "json", "csv"))
            read = th.stack(alive)[:, self.counted].float()
            logger.record(f"{key}/alive", read.mean().item())
            written = th.stack(self.written)[:, self.counted]
            logger.record(f"{key}/freed", 1 - (read.sum() / written.sum()).item())
