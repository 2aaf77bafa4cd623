"""How many memories a layer keeps at least and at most: what the fixed capacity of a graph must hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from expirespan.memory import AdaptiveSpan, Compressive, FixedWindow, Rule
from expirespan.ranges import require

LARGEST = 4096
"""Largest capacity that is chosen unless the caller asks for one: each step reads and copies all of it."""


def bounds(rule: Rule) -> tuple[float, float]:
    """Fewest and most memories that a layer keeps between two steps, late in a long episode.

    A memory that is read in full up to age r is kept at the ages a with a + 1 < r + ramp: ceil(r + ramp - 1) of them.
    Where lives do not depend on what was seen, both are the same.
    """
    if isinstance(rule, Compressive):
        count = rule.window - 1 + rule.slots
        return count, count
    if isinstance(rule, AdaptiveSpan):
        reach = float(rule.reaches().max().item())
        return _kept(reach, rule.ramp), _kept(reach, rule.ramp)
    most = _kept(rule.max_span, rule.ramp)
    return (most if isinstance(rule, FixedWindow) else _kept(0.0, rule.ramp)), most


def _kept(reach: float, ramp: float) -> float:
    return math.ceil(reach + ramp - 1) if math.isfinite(reach) else math.inf


def choose_capacity(rules: Sequence[Rule], capacity: int | None) -> int:
    """Slots of each layer: ``capacity`` if it is given, otherwise as many as can never be too few.

    Raises:
        ValueError: it is too small for any long episode, or there is no default.
    """
    found = [bounds(rule) for rule in rules]
    least, most = max(low for low, _ in found), max(high for _, high in found)
    if capacity is None:
        if most > LARGEST:
            number = "memories without limit" if most == math.inf else f"{most:,.0f} memories"
            raise ValueError(
                f"a layer may keep {number}, too many for a graph that copies all of them at every step: "
                "choose a capacity, such as twice the memories alive in evaluations; the output overflow says when "
                "it is too small"
            )
        return max(1, int(most))
    require(capacity >= 1 and capacity == int(capacity), "capacity", capacity, "an integer >= 1")
    if least < math.inf and capacity < least:
        raise ValueError(
            f"capacity={capacity}: expected at least {least:.0f}, for every long episode keeps so many memories in a "
            "layer, whatever was seen (those within the ramp, or within the window)"
        )
    return int(capacity)
