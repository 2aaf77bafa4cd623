"""The memories of a suite: every registered name, set such that all of them reach equally far back, and controls.

``NAME:STEPS`` sets how many steps back that one reads.
"""

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
from expirespan.experiments.settings.errors import UserError, unknown

KEEP_ALL = "keep_all"
"""A Transformer that forgets nothing: the control for what forgetting costs."""
GTRXL = "gtrxl"
"""Gated Transformer-XL (Parisotto et al. 2020, arXiv 1910.06764): a window, and GRU gates in the place of sums."""
CONTROLS: dict[str, tuple[str, ...]] = {
    KEEP_ALL: (FixedWindowSettings.name,),
    GTRXL: (FixedWindowSettings.name, "--memory.gate", "gru"),
}
"""Further names: the registered memory that each is, and the options that make it so."""
NAMES = (*KINDS["memory"], *CONTROLS)
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
    GTRXL: lambda reach: ("--memory.window", str(reach)),
    KEEP_ALL: lambda reach: ("--memory.window", "inf"),
}
"""Options that give a memory its reach in steps; a memory that is not here keeps the settings it has."""


def read_memory(text: str) -> tuple[str, int | None]:
    """Name and reach of a memory as it is typed: ``gru`` or ``fixed_window:24``; no reach: the task's. The reach
    of a window is its number of states.

    Raises:
        UserError: there is no such memory, the reach is no whole number of steps, or the memory cannot have one.
    """
    name, colon, reach = text.partition(":")
    if name not in NAMES:
        raise unknown("memory", name, NAMES)
    if not colon:
        return name, None
    if not (reach.isdecimal() and int(reach) > 0):
        raise UserError(
            f"memory {text!r}: expected a whole number of steps >= 1 after the colon, as in {name}:24"
        )
    if name not in REACH or name == KEEP_ALL:
        raise UserError(f"memory {text!r}: {name} has no reach that could be set; leave out :{reach}")
    return name, int(reach)


def options_of(memory: str, config: Config) -> tuple[str, ...]:
    """Options of `expirespan train` that give a task's recipe another memory.

    The reach is the longest span of the recipe's own memory, unless the memory is typed with another. The lesson in
    forgetting and the price are Expire-Span's.

    Raises:
        UserError: there is no such memory, or its reach does not fit.
    """
    name, own = read_memory(memory)
    reach = own or int(getattr(config.memory, "max_span", ExpireSpanSettings().max_span))
    kind, *options = CONTROLS.get(name, (name,))
    unpriced = () if kind == ExpireSpanSettings.name else UNPRICED
    given = REACH[name](reach) if name in REACH else ()
    return ("--memory", kind, *options, *given, *unpriced)
