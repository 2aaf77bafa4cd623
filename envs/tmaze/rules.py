"""The rules of the endless T-maze, once: how an episode is drawn, what is seen where, how it is drawn.

Both variants read this file, `EndlessTMaze` (one MiniGrid environment) and `EndlessTMazeVector` (many, in numpy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.checks import check_integer, check_items, check_layout, plain
from expirespan.envs.base.grid_pictures import AGENTS, Image, draw_map, draw_strip
from expirespan.envs.base.moves import ACTIONS, LEFT, RIGHT
from expirespan.parameters import Corridors, Cost, MazeLength, StepLimit
from expirespan.ranges import check_fields

__all__ = [
    "ACTIONS",
    "Layout",
    "Place",
    "TMazeRules",
    "map_image",
    "map_text",
    "map_things",
    "observation_image",
    "observation_words",
]

SIDES: Final = ("left", "right")
CUE_LEFT, CUE_RIGHT, JUNCTION, POSITION = range(4)  # parts of an observation
WINDOW: Final = 15
"""Columns of the map that are drawn, the agent's in the middle."""

Observation = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Layout(NamedTuple):
    """One maze: the length of each corridor, and the side each cue tells (0 left, 1 right)."""

    lengths: tuple[int, ...]
    cues: tuple[int, ...]


class Place(NamedTuple):
    """Where an agent is: the corridors it has passed and all there are, and the cell and the shape of its own.

    ``arm`` is the side into which it has turned when the episode is over, else None.
    """

    passed: int
    corridors: int
    x: int
    length: int
    cue: int
    arm: int | None = None


@dataclass(frozen=True)
class TMazeRules:
    """The parameters of the endless T-maze, checked; see the card of `EndlessTMaze` for their meaning.

    Raises:
        ValueError: a parameter is not allowed.
    """

    corridors: Corridors = 3
    min_length: MazeLength = 5
    max_length: MazeLength = 5
    delay_penalty: Cost = 0.01
    max_steps: StepLimit | None = None

    def __post_init__(self) -> None:
        plain(self)
        check_fields(self)
        if self.max_length < self.min_length:
            raise ValueError(
                f"max_length={self.max_length} is below min_length={self.min_length}: "
                "raise max_length or lower min_length"
            )
        if self.max_steps is not None and self.max_steps < self.corridors * (self.max_length + 1):
            raise ValueError(
                f"max_steps={self.max_steps} for corridors={self.corridors} of max_length={self.max_length}: "
                f"the end can be {self.corridors * (self.max_length + 1)} steps away; allow more steps or "
                "fewer corridors"
            )

    @property
    def step_limit(self) -> int:
        """Steps after which an episode is truncated."""
        if self.max_steps is not None:
            return self.max_steps
        return 6 * (self.max_length + 1) * self.corridors

    @property
    def draws(self) -> int:
        """Uniform numbers that an episode is made of."""
        return 2 * self.corridors

    def from_draws(self, draws: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
        """Lengths and cues (episodes, corridors) from uniform numbers (episodes, `draws`)."""
        low, high = self.min_length, self.max_length
        lengths = low + (draws[:, : self.corridors] * (high - low + 1)).astype(np.int64)
        cues = (draws[:, self.corridors :] >= 0.5).astype(np.int64)
        return np.minimum(lengths, high), cues

    def parse(self, layout: Any) -> Layout:
        """Read ``{"lengths": [5, 5, 5], "cues": ["left", "right", "left"]}``, an item for each corridor.

        Raises:
            ValueError: a key is missing or unknown, or a value is not allowed.
        """
        if isinstance(layout, Layout):
            return layout
        given = check_layout(layout, Layout._fields, "{'lengths': [5, 5], 'cues': ['left', 'right']}")
        lengths = check_items("layout['lengths']", given["lengths"], self.corridors)
        cues = check_items("layout['cues']", given["cues"], self.corridors, SIDES)
        for i, length in enumerate(lengths):
            check_integer(f"layout['lengths'][{i}]", length, 1)
            if length > self.max_length:
                raise ValueError(
                    f"layout['lengths'][{i}]={length} is above max_length={self.max_length}, by which the "
                    "position in an observation is divided: raise max_length"
                )
        return Layout(tuple(map(int, lengths)), tuple(map(SIDES.index, cues)))

    def observation_space(self) -> spaces.Box:
        """The space of one observation."""
        return spaces.Box(0.0, 1.0, (4,), np.float32)


def map_things(length: int, cue: int) -> list[list[str]]:
    """The map of one corridor, row by row, as `draw_map` wants it: 5 rows, ``length`` + 3 columns.

    The corridor runs along row 2 from column 1; the junction is in column ``length`` + 1, its arms in rows 1
    and 3. A ball beside the first cell, where the cue is shown, lies on the side that the cue tells.
    """
    things = [["wall"] * (length + 3) for _ in range(5)]
    things[2][1 : length + 2] = [""] * (length + 1)
    things[1][length + 1] = things[3][length + 1] = ""
    things[1 if cue == LEFT else 3][1] = "ball blue" if cue == LEFT else "ball red"
    return things


def map_image(place: Place, tile: int = 32) -> Image:
    """The corridor around the agent, and below it a strip of all corridors: passed green, the present white."""
    window, agent = _window(place)
    cue_cell = (agent[0], 1 if place.cue == LEFT else 3)
    seen = {agent[:2]} | ({cue_cell} if place.x == 0 and place.arm is None else set())
    colours = ["green"] * place.passed + ["grey"] * (place.corridors - place.passed)
    if place.passed < place.corridors:
        colours[place.passed] = "white" if place.arm is None else "red"
    image = draw_map(window, agent, seen, tile)
    return np.concatenate([image, draw_strip(colours, image.shape[1], tile)])


def observation_image(observation: npt.ArrayLike, tile: int = 16) -> Image:
    """Draw what one observation tells, as uint8 (3 * tile, 3 * tile, 3): the agent's cell and those around it.

    A ball is the cue, on the side that it tells; at a junction both sides are open.
    """
    cell = np.asarray(observation)
    sides = "" if cell[JUNCTION] else "wall"
    left, right = ("ball blue" if cell[CUE_LEFT] else sides), ("ball red" if cell[CUE_RIGHT] else sides)
    ahead = "wall" if cell[JUNCTION] else ""
    return draw_map([["wall", left, "wall"], ["", "", ahead], ["wall", right, "wall"]], (1, 1, 0), (), tile)


def observation_words(observation: npt.ArrayLike) -> str:
    """What one observation (4,) tells, in words."""
    cell = np.asarray(observation)
    if cell[CUE_LEFT] or cell[CUE_RIGHT]:
        return f"the cue to turn {SIDES[int(cell[CUE_RIGHT] > 0)]}"
    return "a junction" if cell[JUNCTION] else "the corridor"


def map_text(place: Place) -> str:
    """The same window as five lines: ``#`` wall, ``.`` empty, ``b`` cue left, ``r`` cue right, ``>`` agent."""
    window, agent = _window(place)
    letters = {"": ".", "wall": "#", "ball blue": "b", "ball red": "r"}
    lines = [[letters[name] for name in row] for row in window]
    lines[agent[1]][agent[0]] = AGENTS[agent[2]]
    told = f"corridor {min(place.passed + 1, place.corridors)} of {place.corridors}, passed {place.passed}"
    return "\n".join([*("".join(line) for line in lines), told])


def _window(place: Place) -> tuple[list[list[str]], tuple[int, int, int]]:
    """The columns of the map around the agent, and the agent in them."""
    things = map_things(place.length, place.cue)
    first = place.x + 1 - WINDOW // 2
    columns = range(first, first + WINDOW)
    rows = [[row[x] if 0 <= x < len(row) else "wall" for x in columns] for row in things]
    row, direction = {None: (2, 0), LEFT: (1, 3), RIGHT: (3, 1)}[place.arm]
    return rows, (WINDOW // 2, row, direction)
