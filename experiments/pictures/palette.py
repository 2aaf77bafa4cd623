"""Colours of pictures and pages: Okabe and Ito's, which colour-blind people can distinguish, and two greys."""

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
YELLOW, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
GREY, PALE = "#666666", "#a9b9c6"
FORGOTTEN, ALIVE, CUE = PALE, ORANGE, GREEN
"""What became of a memory, and what should be one."""
LAYERS = (BLUE, YELLOW, PINK, SKY, BLACK)
"""Lines side by side, such as a memory's layers."""
