"""Colours of pictures and pages: Okabe and Ito's, which colour-blind people can distinguish, and two greys."""

from collections.abc import Sequence
from typing import Any

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
YELLOW, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
GREY, PALE = "#666666", "#a9b9c6"
FORGOTTEN, ALIVE, CUE = PALE, ORANGE, GREEN
"""What became of a memory, and what should be one."""
LAYERS = (BLUE, YELLOW, PINK, SKY, BLACK)
"""Lines side by side, such as a memory's layers."""
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


MEMORIES = {
    "expire_span": ORANGE, "fixed_window": BLUE, "keep_all": SKY, "gtrxl": PINK, "gru": BLACK, "lstm": GREEN,
}  # fmt: skip
"""The memories that most pictures of several have, the same colour in each."""


def memory_lines(memories: Sequence[str]) -> list[dict[str, Any]]:
    """Styles as of `line`, by memories such as "fixed_window:32": one colour a kind, of which others take what is left.

    A second memory of a kind is told apart by marker and dashes.
    """
    kinds = [memory.partition(":")[0] for memory in memories]
    left = [
        colour for colour in (*LAYERS, GREEN, ORANGE) if colour not in {MEMORIES.get(kind) for kind in kinds}
    ]
    others = list(dict.fromkeys(kind for kind in kinds if kind not in MEMORIES))
    colours = MEMORIES | {kind: (left or LAYERS)[i % len(left or LAYERS)] for i, kind in enumerate(others)}
    return [
        {
            "color": colours[kind],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[kinds[:i].count(kind) % len(DASHES)],
        }
        for i, kind in enumerate(kinds)
    ]
