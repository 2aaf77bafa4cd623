"""The rules of the corridor, once: its map, what is seen where, how an episode is drawn, how long it lasts.

Both variants read this file, `Corridor` (one MiniGrid environment) and `CorridorVector` (many, in numpy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.checks import check_choice, check_integer, check_layout, plain
from expirespan.envs.base.lengths import length_from
from expirespan.envs.base.moves import ACTIONS, EAST, NORTH, SOUTH, WEST
from expirespan.envs.base.view import view_cells
from expirespan.parameters import CorridorLength, Lengths, StepLimit
from expirespan.ranges import check_fields

__all__ = [
    "ACTIONS",
    "EAST",
    "KINDS",
    "NORTH",
    "SOUTH",
    "WEST",
    "CorridorRules",
    "Layout",
    "observation_words",
    "observe",
]

KINDS: Final = ("empty", "wall", "red ball", "blue ball", "red door", "blue door")
EMPTY, WALL, RED_BALL, BLUE_BALL, RED_DOOR, BLUE_DOOR = range(len(KINDS))
AISLE: Final = 2  # the corridor's row; the doors and the ball stand in the rows beside it
SHORTEST: Final = 3

Observation = npt.NDArray[np.uint8]


class Layout(NamedTuple):
    """One corridor: its length in cells, the ball's colour, and the side of the red door seen walking in."""

    length: int
    ball: str
    red_door: str

    @classmethod
    def parse(cls, layout: Any) -> Layout:
        """Read ``{"length": 5, "ball": "red", "red_door": "left"}`` (all three keys) as a layout.

        Raises:
            ValueError: a key is missing or unknown, or a value is not allowed.
        """
        if isinstance(layout, cls):
            layout = layout._asdict()
        example = "{'length': 5, 'ball': 'red', 'red_door': 'left'}"
        given = check_layout(layout, cls._fields, example)
        length = check_integer("layout['length']", given["length"], SHORTEST)
        check_choice("layout['ball']", given["ball"], ("red", "blue"))
        check_choice("layout['red_door']", given["red_door"], ("left", "right"))
        return cls(length, given["ball"], given["red_door"])

    def kind(self, x: int, y: int) -> int:
        """Index into `KINDS` of the thing at cell (x, y); outside the grid all is wall."""
        if y == AISLE and 1 <= x <= self.length:
            return EMPTY
        if y == AISLE - 1 and x == 1:
            return RED_BALL if self.ball == "red" else BLUE_BALL
        if x == self.length and abs(y - AISLE) == 1:
            on_the_left = y < AISLE
            return RED_DOOR if on_the_left == (self.red_door == "left") else BLUE_DOOR
        return WALL

    def pays(self, y: int) -> bool:
        """Whether the door in row y has the ball's colour."""
        return (self.kind(self.length, y) == RED_DOOR) == (self.ball == "red")


def observe(layout: Layout, x: int, y: int, direction: int) -> Observation:
    """What an agent at (x, y) sees: one-hot (3, 3, 6) uint8, [view row far to near, view column, kind].

    The agent stands in view row 2, column 1, which shows what its cell holds: empty, or the door it entered.
    """
    observation = np.zeros((3, 3, len(KINDS)), dtype=np.uint8)
    for row, column, cell_x, cell_y in view_cells(x, y, direction):
        observation[row, column, layout.kind(cell_x, cell_y)] = 1
    return observation


def shows_ball(observations: Observation) -> npt.NDArray[np.bool_]:
    """Whether the ball is in view, for observations (..., 3, 3, 6)."""
    return np.asarray(observations[..., RED_BALL : BLUE_BALL + 1].any(axis=(-3, -2, -1)))


def observation_words(observation: npt.ArrayLike) -> str:
    """What one observation (3, 3, 6) shows, in words: ball and doors, or walls where it shows neither."""
    seen = set(np.nonzero(np.asarray(observation))[2].tolist())
    things = [f"the {KINDS[kind]}" for kind in (RED_BALL, BLUE_BALL, RED_DOOR, BLUE_DOOR) if kind in seen]
    if {RED_DOOR, BLUE_DOOR} <= seen:
        things = [*things[:-2], "the doors"]
    return " and ".join(things) or "walls"


def observation_space() -> spaces.Box:
    """The space of one observation."""
    return spaces.Box(0, 1, (3, 3, len(KINDS)), np.uint8)


@dataclass(frozen=True)
class CorridorRules:
    """The parameters of the corridor, checked; see the card of `Corridor` for their meaning.

    Raises:
        ValueError: a parameter is not allowed.
    """

    min_length: CorridorLength = 3
    max_length: CorridorLength = 200
    length_distribution: Lengths = "uniform"
    max_steps: StepLimit | None = None

    def __post_init__(self) -> None:
        plain(self)
        check_fields(self)
        if self.max_length < self.min_length:
            raise ValueError(
                f"max_length={self.max_length} is below min_length={self.min_length}: "
                "raise max_length or lower min_length"
            )

    def draw(self, generator: np.random.Generator) -> Layout:
        """Draw an episode's layout with one call of the generator.

        Plain Python arithmetic on three numbers, so that both variants round alike on every machine.
        """
        for_length, for_ball, for_door = generator.random(3).tolist()
        return Layout(
            length_from(for_length, self.min_length, self.max_length, self.length_distribution),
            "red" if for_ball < 0.5 else "blue",
            "left" if for_door < 0.5 else "right",
        )

    def step_limit(self, length: int) -> int:
        """Steps after which an episode in a corridor of this length is truncated."""
        return 4 * length + 16 if self.max_steps is None else self.max_steps
