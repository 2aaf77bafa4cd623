"""View of an agent on a grid: the 3 x 3 cells ahead of it."""

from __future__ import annotations

from typing import Final

from expirespan.envs.base.moves import STEP

__all__ = ["view_cells"]


def view_cells(x: int, y: int, direction: int) -> tuple[tuple[int, int, int, int], ...]:
    """The nine cells seen from (x, y), each as (view row far to near, view column left to right, x, y)."""
    return tuple((row, column, x + dx, y + dy) for row, column, dx, dy in _VIEW[direction])


def _view_offsets(direction: int) -> tuple[tuple[int, int, int, int], ...]:
    (ahead_x, ahead_y), (right_x, right_y) = STEP[direction], STEP[(direction + 1) % 4]
    return tuple(
        (
            row,
            column,
            ahead_x * (2 - row) + right_x * (column - 1),
            ahead_y * (2 - row) + right_y * (column - 1),
        )
        for row in range(3)
        for column in range(3)
    )


_VIEW: Final = tuple(_view_offsets(direction) for direction in range(4))
