"""Colours of pictures and pages: Okabe and Ito's, which colour-blind people can distinguish, and two greys."""

from typing import Any

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
YELLOW, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
GREY, PALE = "#666666", "#a9b9c6"
FORGOTTEN, ALIVE, CUE = PALE, ORANGE, GREEN
"""What became of a memory, and what should be one."""
LAYERS = (BLUE, YELLOW, PINK, SKY, BLACK)
"""Lines side by side, such as a memory's layers."""
MARKERS = "os^Dv"
DASHES = ("-", "--", "-.", ":")


def line(i: int) -> dict[str, Any]:
    """Colour, marker and dashes of line i of several: told apart by any of the first two, also without colours."""
    lap = i // len(LAYERS)
    return {
        "color": LAYERS[i % len(LAYERS)],
        "marker": MARKERS[(i + lap) % len(MARKERS)],
        "linestyle": DASHES[lap % len(DASHES)],
    }
