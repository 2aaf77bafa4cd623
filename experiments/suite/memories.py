"""The memories of a suite: every registered name, set such that all of them reach equally far back."""

from __future__ import annotations

import math
from collections.abc import Callable

from expirespan.experiments.settings import (
    KINDS,
    AdaptiveSpanSettings,
    CompressiveSettings,
    Config,
    ExpireSpanSettings,
    FixedWindowSettings,
    GRUSettings,
    LSTMSettings,
)
from expirespan.experiments.settings.errors import unknown

KEEP_ALL = "keep_all"
"""A Transformer that forgets nothing: the control for what forgetting costs."""
NAMES = (*KINDS["memory"], KEEP_ALL)
USUAL = (ExpireSpanSettings.name, FixedWindowSettings.name, GRUSettings.name)
"""Those of a suite, unless others are named."""
UNPRICED = ("--forgetting", "none", "--penalty", "constant")
"""For memories without spans that a lesson could shorten."""


def _compressive(reach: int) -> tuple[str, ...]:
    usual = CompressiveSettings()
    return ("--memory.slots", str(max(1, math.ceil((reach - usual.window) / usual.factor))))


REACH: dict[str, Callable[[int], tuple[str, ...]]] = {
    ExpireSpanSettings.name: lambda reach: ("--memory.max-span", str(reach)),
    FixedWindowSettings.name: lambda reach: ("--memory.window", str(reach)),
    AdaptiveSpanSettings.name: lambda reach: ("--memory.max-span", str(reach)),
    CompressiveSettings.name: _compressive,
    LSTMSettings.name: lambda reach: ("--memory.chrono", str(reach)),
    GRUSettings.name: lambda reach: ("--memory.chrono", str(reach)),
    KEEP_ALL: lambda reach: ("--memory.window", "inf"),
}
"""Options that give a memory its reach in steps; a memory that is not here keeps the settings it has."""


def options_of(memory: str, config: Config) -> tuple[str, ...]:
    """Options of `expirespan train` that give a task's recipe another memory.

    The reach is the longest span of the recipe's own memory. The lesson in forgetting and the price are Expire-Span's.

    Raises:
        UserError: there is no such memory.
    """
    if memory not in NAMES:
        raise unknown("memory", memory, NAMES)
    reach = getattr(config.memory, "max_span", ExpireSpanSettings().max_span)
    kind = FixedWindowSettings.name if memory == KEEP_ALL else memory
    unpriced = () if kind == ExpireSpanSettings.name else UNPRICED
    given = REACH[memory](int(reach)) if memory in REACH else ()
    return ("--memory", kind, *given, *unpriced)
