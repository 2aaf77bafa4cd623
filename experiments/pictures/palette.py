"""Colours of pictures and pages: Okabe and Ito's, which colour-blind people can distinguish, and two greys."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
YELLOW, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
COLOURS = (BLUE, YELLOW, PINK, SKY, BLACK, GREEN, ORANGE)
GREY, PALE = "#666666", "#a9b9c6"
FORGOTTEN, ALIVE, CUE = PALE, ORANGE, GREEN
"""What became of a memory, and what should be one."""
LAYERS = (BLUE, YELLOW, PINK, SKY, BLACK)
"""Lines side by side, such as a memory's layers."""
MEMORIES = {
    "expire_span": ORANGE, "fixed_window": BLUE, "keep_all": SKY, "gtrxl": PINK, "gru": BLACK, "lstm": GREEN,
}  # fmt: skip
"""The memories that most pictures of several have, the same colour in each."""
MARKERS = "os^DvP*X"
DASHES = ("-", "--", "-.", ":")


def line(i: int) -> dict[str, Any]:
    """Colour, marker and dashes of line i of several: told apart by any of the first two, also without colours."""
    lap = i // len(LAYERS)
    return {
        "color": LAYERS[i % len(LAYERS)],
        "marker": MARKERS[(i + lap) % len(MARKERS)],
        "linestyle": DASHES[lap % len(DASHES)],
    }


def memory_lines(memories: Sequence[str]) -> list[dict[str, Any]]:
    """Styles as of `line`, for memories such as "fixed_window:32": each kind has a colour of its own.

    Kinds that are not in `MEMORIES` take the colours that the picture's others leave. Memories of one kind differ in
    their markers and dashes.
    """
    kinds = [memory.partition(":")[0] for memory in memories]
    colours = {kind: MEMORIES[kind] for kind in kinds if kind in MEMORIES}
    left = cycle([colour for colour in COLOURS if colour not in colours.values()] or COLOURS)
    for kind in kinds:
        if kind not in colours:
            colours[kind] = next(left)
    return [
        {
            "color": colours[kind],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[kinds[:i].count(kind) % len(DASHES)],
        }
        for i, kind in enumerate(kinds)
    ]
