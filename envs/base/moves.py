"""Moves of an agent on a grid, the same in every environment with a grid: MiniGrid's first three actions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIONS", "EAST", "FORWARD", "LEFT", "NORTH", "RIGHT", "SOUTH", "STEP", "WEST", "turn"]

ACTIONS: Final = ("turn left", "turn right", "walk forward")
LEFT, RIGHT, FORWARD = range(3)
EAST, SOUTH, WEST, NORTH = range(4)
STEP: Final = (
    (1, 0),
    (0, 1),
    (-1, 0),
    (0, -1),
)  # (dx, dy) of one step in each direction; y grows to the south


def turn(directions: npt.NDArray[np.int64], actions: npt.NDArray[np.integer[Any]]) -> None:
    """Turn the agents (N,) that turn, in place."""
    directions += actions == RIGHT
    directions -= actions == LEFT
    directions &= 3
