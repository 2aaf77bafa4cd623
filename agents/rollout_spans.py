"""What memory did during a rollout, for the logger."""

from __future__ import annotations

import torch as th
from stable_baselines3.common.logger import Logger

from expirespan.agents.histogram import Histogram
from expirespan.memory import Trace


class RolloutSpans:
    """Spans given and memories read. ``counted`` (N,) bool: environments whose memories expire as they will in use."""

    def __init__(self, counted: th.Tensor) -> None:
        self.counted = counted
        self.spans: list[list[th.Tensor]] = []
        self.alive: list[list[th.Tensor]] = []

    def add(self, trace: Trace) -> None:
        """Take in one step's trace."""
        self.spans.append([span[:, 0] for span in trace.spans])
        self.alive.append([alive[:, 0] for alive in trace.alive])

    def record(self, logger: Logger, longest: float) -> None:
        """Write ``expire/layer{i}/...``: spans of all environments, memories alive in those counted."""
        layers = zip(zip(*self.spans, strict=True), zip(*self.alive, strict=True), strict=True)
        for i, (spans, alive) in enumerate(layers):
            span = th.stack(spans)
            key = f"expire/layer{i}"
            if th.isfinite(span).all():
                logger.record(f"{key}/span_mean", span.mean().item())
                logger.record(f"{key}/span_max", span.max().item())
                histogram = Histogram.of(span, 0.0, longest)
                logger.record(f"{key}/spans", histogram, exclude=("stdout", "log", "json", "csv"))
            logger.record(f"{key}/alive", th.stack(alive)[:, self.counted].float().mean().item())
