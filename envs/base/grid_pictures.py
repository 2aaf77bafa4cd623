"""Pictures of small maps: MiniGrid's tiles, and a strip that shows how far an episode has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["AGENTS", "COLOURS", "RGB", "draw_map", "draw_strip"]

AGENTS: Final = ">v<^"
"""The agent in text, by direction."""
COLOURS: Final = ("red", "green", "blue", "purple", "yellow", "grey")
"""MiniGrid's colours, in its order."""
RGB: Final = {
    "dark": (45, 45, 45),
    "grey": (110, 110, 110),
    "white": (255, 255, 255),
    "green": (70, 200, 90),
    "red": (230, 70, 70),
}

Image = npt.NDArray[np.uint8]
Agent = tuple[int, int, int]  # column, row, direction


def draw_map(
    things: Sequence[Sequence[str]], agent: Agent, seen: Collection[tuple[int, int]], tile: int = 32
) -> Image:
    """Draw cells in MiniGrid's tiles, as uint8 (rows * tile, columns * tile, 3).

    Args:
        things: what each cell holds, row by row: "" for nothing, "wall", or a kind and a colour, "ball red" or
            "door blue".
        agent: its column, row and direction (0 east, 1 south, 2 west, 3 north).
        seen: cells (column, row) that are lit.
        tile: side of a cell in pixels.
    """
    rows = []
    for y, row in enumerate(things):
        cells = []
        for x, name in enumerate(row):
            facing = agent[2] if (x, y) == agent[:2] else None
            cells.append(_tile(name, facing, (x, y) in seen, tile))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def draw_strip(colours: Sequence[str], width: int, height: int) -> Image:
    """Draw segments of equal width side by side, names of `RGB`, as uint8 (height, width, 3)."""
    strip = np.zeros((height, width, 3), np.uint8)
    edges = np.linspace(0, width, len(colours) + 1).astype(int)
    gap = 1 if width >= 4 * len(colours) else 0
    for colour, left, right in zip(colours, edges[:-1], edges[1:], strict=True):
        strip[height // 4 : height - height // 4, left : right - gap] = RGB[colour]
    return strip


@cache
def _tile(name: str, facing: int | None, lit: bool, tile: int) -> Image:
    from minigrid.core.grid import Grid  # MiniGrid takes a while to import, and only pictures need it here

    image = Grid.render_tile(minigrid_object(name), facing, lit, tile)
    return np.asarray(image).astype(np.uint8)  # MiniGrid averages its tiles into floats


@cache
def minigrid_object(name: str) -> Any:
    """MiniGrid's object by its name (see `draw_map`), None for nothing."""
    from minigrid.core.world_object import Ball, Door, Wall

    kind, _, colour = name.partition(" ")
    if kind == "ball":
        return Ball(colour)  # type: ignore[no-untyped-call]
    if kind == "door":
        return Door(colour)
    return Wall() if kind == "wall" else None
