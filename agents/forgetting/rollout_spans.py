"""Spans and memories alive during a rollout, for the logger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import torch as th
from stable_baselines3.common.logger import Logger

from expirespan.agents.base.histogram import Histogram
from expirespan.agents.workers import Workers
from expirespan.memory import MemoryState, Trace, TransformerState

AT_BOUND = 0.01
"""Spans this near 0 or the longest span, as a fraction of it, count as being at that bound."""


class RolloutSpans:
    """Spans given and memories read.

    ``counted`` (N,) bool, on the host: environments whose memories expire as they will in use.
    """

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

    def record(self, logger: Logger, longest: Sequence[float], workers: Workers | None = None) -> None:
        """Write ``expire/layer{i}/...`` given the longest span of each layer: of all ``workers``, who all call it.

        Spans are of all environments, in steps. Memories alive, and the share of the states written in the
        episode so far that is freed, are of those counted. Nothing if there was no step, and nothing of spans
        without end.
        """
        if not self.spans:
            return
        workers = workers or Workers()
        every = (map(th.stack, self.spans), map(th.stack, self.alive), self.written)
        span_TLB, alive_TLB, written_TB = (th.stack(list(steps)).cpu() for steps in every)
        share_TLB = span_TLB / span_TLB.new_tensor(longest)[:, None]
        read_TLB = alive_TLB[..., self.counted].float()
        counted = self.counted.sum()
        known, read, written = workers.totals(
            [counted, read_TLB.sum((0, 2)), written_TB[:, self.counted].sum()]
        )
        spans = {
            "span_mean": span_TLB.mean((0, 2)),
            "span_max": span_TLB.amax((0, 2)),
            "span_at_min": (share_TLB <= AT_BOUND).float().mean((0, 2)),
            "span_at_max": (share_TLB >= 1 - AT_BOUND).float().mean((0, 2)),
        }
        of_layers = {
            **workers.means(spans, 1 / workers.size),
            "span_max": workers.largest(spans["span_max"]),
            **workers.means({"alive": read_TLB.mean((0, 2))}, counted / known),
            "freed": 1 - read / written,
        }
        for i, most in enumerate(longest):
            key, finite = f"expire/layer{i}", isfinite(most)
            finite &= not workers.any(not span_TLB[:, i].isfinite().all())
            for name, value_L in of_layers.items():
                if finite or not name.startswith("span"):
                    logger.record(f"{key}/{name}", value_L[i].item())
            if finite:
                histogram = Histogram.of(span_TLB[:, i], 0.0, most)
                (counts,) = workers.totals([th.from_numpy(histogram.counts)])
                histogram = replace(histogram, counts=counts.numpy())
                logger.record(f"{key}/spans", histogram, exclude=("stdout", "log", "json", "csv"))
