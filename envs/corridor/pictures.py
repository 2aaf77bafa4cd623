"""Pictures of the corridor: the map around the agent as pixels or text, and one observation as pixels."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from expirespan.envs.base.view import view_cells
from expirespan.envs.corridor.rules import (
    AISLE,
    BLUE_BALL,
    BLUE_DOOR,
    EMPTY,
    KINDS,
    RED_BALL,
    RED_DOOR,
    WALL,
    Layout,
)

__all__ = ["map_image", "map_text", "observation_image"]

WINDOW: Final = 21
"""Cells of the map that are drawn: the agent's column and ten on each side, whatever the corridor's length.

A fixed window keeps all frames of a video alike in size, and a corridor of 10,000 cells as cheap as one of 3.
"""

_LETTERS: Final = {EMPTY: ".", WALL: "#", RED_BALL: "r", BLUE_BALL: "b", RED_DOOR: "R", BLUE_DOOR: "B"}
_AGENTS: Final = ">v<^"
_COLOURS: Final = {
    RED_BALL: (255, 70, 70),
    BLUE_BALL: (80, 130, 255),
    RED_DOOR: (255, 70, 70),
    BLUE_DOOR: (80, 130, 255),
}


def map_image(layout: Layout, x: int, y: int, direction: int, tile: int = 32) -> npt.NDArray[np.uint8]:
    """The map around the agent in MiniGrid's tiles, its view lit: uint8 (5 * tile, 21 * tile, 3)."""
    from minigrid.core.grid import Grid  # MiniGrid takes a while to import, and only pictures need it here

    seen = {(cell_x, cell_y) for _, _, cell_x, cell_y in view_cells(x, y, direction)}
    rows = []
    for row_y in range(AISLE - 2, AISLE + 3):
        tiles = []
        for cell_x in range(x - WINDOW // 2, x + WINDOW // 2 + 1):
            thing = minigrid_objects()[layout.kind(cell_x, row_y)]
            facing = direction if (cell_x, row_y) == (x, y) else None
            tiles.append(Grid.render_tile(thing, facing, (cell_x, row_y) in seen, tile))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows, axis=0).astype(np.uint8)  # MiniGrid averages its tiles into floats


def map_text(layout: Layout, x: int, y: int, direction: int) -> str:
    """The same window as five lines: ``#`` wall, ``.`` empty, ``r b`` ball, ``R B`` doors, ``>v<^`` agent."""
    columns = range(x - WINDOW // 2, x + WINDOW // 2 + 1)
    lines = []
    for row_y in range(AISLE - 2, AISLE + 3):
        line = [_LETTERS[layout.kind(cell_x, row_y)] for cell_x in columns]
        if row_y == y:
            line[WINDOW // 2] = _AGENTS[direction]
        lines.append("".join(line))
    return "\n".join(lines)


def observation_image(observation: npt.ArrayLike, tile: int = 16) -> npt.NDArray[np.uint8]:
    """Draw one observation, far row on top, as uint8 (3 * tile, 3 * tile, 3).

    Walls are grey squares, balls discs, doors hollow squares, the agent a white wedge at the bottom.

    Args:
        observation: one-hot (3, 3, 6), of any number type.
        tile: side of a cell in pixels, at least 4.

    Raises:
        ValueError: another shape, or a tile too small to draw in.
    """
    cells = np.asarray(observation)
    if cells.shape != (3, 3, len(KINDS)):
        raise ValueError(
            f"observation of shape {cells.shape}: expected ONE observation of shape (3, 3, {len(KINDS)}); "
            "index a batch first"
        )
    if tile < 4:
        raise ValueError(f"tile={tile!r}: expected at least 4 pixels")
    picture = np.zeros((3, tile, 3, tile, 3), dtype=np.uint8)
    for row, column in np.ndindex(3, 3):
        picture[row, :, column] = _tile(int(cells[row, column].argmax()), tile)
    across = np.linspace(-1, 1, tile)
    wedge = np.abs(across)[None, :] < (across[:, None] + 0.6) / 2.4
    wedge &= across[:, None] < 0.6
    picture[2, :, 1][wedge] = 255
    return picture.reshape(3 * tile, 3 * tile, 3)


def _tile(kind: int, tile: int) -> npt.NDArray[np.uint8]:
    picture = np.zeros((tile, tile, 3), dtype=np.uint8)
    if kind == WALL:
        picture[:] = 110
    picture[0] = picture[:, 0] = 60
    across = np.abs(np.linspace(-1, 1, tile))
    if kind in (RED_BALL, BLUE_BALL):
        picture[across[:, None] ** 2 + across[None, :] ** 2 < 0.5] = _COLOURS[kind]
    elif kind in (RED_DOOR, BLUE_DOOR):
        from_centre = np.maximum(across[:, None], across[None, :])
        picture[(from_centre > 0.5) & (from_centre < 0.9)] = _COLOURS[kind]
    return picture


@cache
def minigrid_objects() -> dict[int, Any]:
    """MiniGrid's object for each kind of thing; doors are open, so that they can be entered."""
    from minigrid.core.world_object import Ball, Door, Wall

    return {
        EMPTY: None,
        WALL: Wall(),
        RED_BALL: Ball("red"),  # type: ignore[no-untyped-call]
        BLUE_BALL: Ball("blue"),  # type: ignore[no-untyped-call]
        RED_DOOR: Door("red", is_open=True),
        BLUE_DOOR: Door("blue", is_open=True),
    }
