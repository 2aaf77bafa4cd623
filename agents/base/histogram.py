"""Histogram for loggers, binned once on the device of its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch as th


@dataclass(frozen=True)
class Histogram:
    """``counts`` (n,) of values between consecutive ``edges`` (n + 1,)."""

    counts: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, values: th.Tensor, low: float, high: float, bins: int = 64) -> Histogram:
        """Count ``values`` (any shape) in equal bins over [low, high], in their unit."""
        counts = th.histc(values.float(), bins, low, high).cpu().numpy()
        return cls(counts, np.linspace(low, high, bins + 1))
