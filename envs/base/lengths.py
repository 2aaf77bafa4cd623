"""Random lengths, one drawn for each episode."""

from __future__ import annotations

import math

from expirespan.parameters import Lengths

__all__ = ["length_from"]


def length_from(uniform: float, low: int, high: int, distribution: Lengths) -> int:
    """An integer from low to high, both included, from a number in [0, 1).

    Plain Python arithmetic, so that it rounds alike on every machine.

    Args:
        uniform: the number.
        low: the least, at least 1.
        high: the greatest.
        distribution: "uniform"; "log_uniform" with P(n) proportional to log((n + 1) / n), an equal chance for every
            factor; or "mixed", either with equal chance.
    """
    by_factor = distribution == "log_uniform"
    if distribution == "mixed":  # still from the one number
        by_factor, uniform = uniform >= 0.5, 2 * uniform % 1
    if by_factor:
        length = int(low * math.exp(uniform * math.log((high + 1) / low)))
    else:
        length = low + int(uniform * (high - low + 1))
    return min(max(length, low), high)
