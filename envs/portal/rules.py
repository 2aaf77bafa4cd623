"""The rules of the portal rooms, once: how an episode is drawn, what is seen where, how a room is drawn.

Both variants read this file, `PortalRooms` (one MiniGrid environment) and `PortalRoomsVector` (many, in numpy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.checks import check_items, check_layout, plain
from expirespan.envs.base.grid_pictures import AGENTS, COLOURS, Image, draw_map, draw_strip
from expirespan.envs.base.moves import ACTIONS
from expirespan.envs.base.view import view_cells
from expirespan.parameters import Colours, Mistakes, Multiple, Pays, RoomCode, Rooms, RoomSize, StepLimit
from expirespan.ranges import check_fields

__all__ = [
    "ACTIONS",
    "KINDS",
    "Layout",
    "Place",
    "PortalRules",
    "map_image",
    "map_text",
    "room_things",
    "view",
]

SIDES: Final = ("left", "right")
KINDS: Final = ("empty", "wall", *(f"{colour} door" for colour in COLOURS))
EMPTY, WALL, DOOR = range(3)  # DOOR + i has colour i
VIEW: Final = 9 * len(KINDS)
"""Length of the view in an observation; the room's number and the direction follow it."""

Observation = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class Layout(NamedTuple):
    """All rooms of an episode: the colours (index into `COLOURS`) of the left and right door, which leads on."""

    colours: tuple[tuple[int, int], ...]
    leads_on: tuple[int, ...]


class Place(NamedTuple):
    """Where an agent is in its room, and what the picture tells of the rest; rooms are counted from 0."""

    x: int
    y: int
    direction: int
    colours: tuple[int, int]
    room: int
    furthest: int
    mistakes: tuple[int, ...]


@dataclass(frozen=True)
class PortalRules:
    """The parameters of the portal rooms, checked; see the card of `PortalRooms` for their meaning.

    Raises:
        ValueError: a parameter is not allowed.
    """

    rooms: Rooms = 50
    room_size: RoomSize = 5
    colours: Colours = 6
    mistakes: Mistakes = 1
    max_steps: StepLimit = 1000
    reward_scale: Multiple = 0.1
    pays: Pays = "every"
    show_room: bool = True
    room_code: RoomCode = "one-hot"
    show_direction: bool = False

    def __post_init__(self) -> None:
        plain(self)
        check_fields(self)
        if self.room_size % 2 == 0:
            raise ValueError(
                f"room_size={self.room_size}: expected an odd number, so that a room has a middle"
            )
        if self.max_steps < self.room_steps * (self.rooms - 1):
            raise ValueError(
                f"max_steps={self.max_steps} for rooms={self.rooms}: the last room is at least "
                f"{self.room_steps * (self.rooms - 1)} steps away; allow more steps or fewer rooms"
            )

    @property
    def middle(self) -> int:
        """Row and column of a room's middle, where one arrives; the doors are in the walls above and below it."""
        return (self.room_size + 1) // 2

    @property
    def room_steps(self) -> int:
        """Steps from arriving in a room to leaving it by either door: a turn, and a straight walk."""
        return 1 + self.middle

    @property
    def number_length(self) -> int:
        """Length of the room's number in an observation."""
        return self.show_room * (self.rooms if self.room_code == "one-hot" else self.rooms.bit_length())

    def write_number_and_direction(self, observations: Observation, rooms: Ints, directions: Ints) -> None:
        """Complete ``observations`` (n, length), which hold views and zeros behind them.

        ``rooms`` (n,): counted from 0. ``directions`` (n,): 0 to 3, from east to north.
        """
        rows = np.arange(len(observations))
        if self.show_room and self.room_code == "one-hot":
            observations[rows, VIEW + rooms] = 1
        else:
            observations[:, VIEW : VIEW + self.number_length] = (
                rooms[:, None] + 1 >> np.arange(self.number_length) & 1
            )
        if self.show_direction:
            observations[rows, VIEW + self.number_length + directions] = 1

    @property
    def draws(self) -> int:
        """Uniform numbers that an episode is made of."""
        return 3 * self.rooms

    def from_draws(self, draws: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
        """Colours (episodes, rooms, 2), doors that lead on (episodes, rooms).

        ``draws``: uniform numbers (episodes, `draws`).
        """
        for_left, for_right, for_door = np.split(draws, 3, axis=1)
        left = (for_left * self.colours).astype(np.int64)
        right = (for_right * (self.colours - 1)).astype(np.int64)
        right += right >= left  # any colour but the left one
        return np.stack([left, right], axis=2), (for_door >= 0.5).astype(np.int64)

    def parse(self, layout: Any) -> Layout:
        """Read ``{"colours": [["red", "blue"], ...], "leads_on": ["left", ...]}``, an item for each room.

        Raises:
            ValueError: a key is missing or unknown, or a value is not allowed.
        """
        if isinstance(layout, Layout):
            return layout
        given = check_layout(
            layout, Layout._fields, "{'colours': [['red', 'blue'], ...], 'leads_on': ['left', ...]}"
        )
        pairs = check_items("layout['colours']", given["colours"], self.rooms)
        for i, pair in enumerate(pairs):
            left, right = check_items(f"layout['colours'][{i}]", pair, 2, COLOURS)
            if left == right:
                raise ValueError(f"layout['colours'][{i}]={pair!r}: expected two different colours")
        leads_on = check_items("layout['leads_on']", given["leads_on"], self.rooms, SIDES)
        return Layout(
            tuple((COLOURS.index(left), COLOURS.index(right)) for left, right in pairs),
            tuple(map(SIDES.index, leads_on)),
        )

    def observation_space(self) -> spaces.Box:
        """The space of one observation."""
        return spaces.Box(0, 1, (VIEW + self.number_length + 4 * self.show_direction,), np.uint8)


def room_things(size: int, colours: tuple[int, int]) -> list[list[int]]:
    """Indices into `KINDS` of all cells of a room with its walls, row by row, as (size + 2) lists.

    Agents arrive facing east, so that the door above is the left one.
    """
    things = [[WALL] * (size + 2)]
    things += [[WALL] + [EMPTY] * size + [WALL] for _ in range(size)]
    things += [[WALL] * (size + 2)]
    things[0][(size + 1) // 2], things[-1][(size + 1) // 2] = DOOR + colours[0], DOOR + colours[1]
    return things


def view(things: list[list[int]], x: int, y: int, direction: int) -> Observation:
    """What is seen from (x, y): one-hot (3, 3, 8) uint8, [row far to near, column left to right, kind]."""
    seen = np.zeros((3, 3, len(KINDS)), np.uint8)
    for row, column, cell_x, cell_y in view_cells(x, y, direction):
        inside = 0 <= cell_y < len(things) and 0 <= cell_x < len(things)
        seen[row, column, things[cell_y][cell_x] if inside else WALL] = 1
    return seen


def map_image(size: int, place: Place, tile: int = 32) -> Image:
    """The room, its lit cells those in view, and a strip of all rooms.

    On the strip the present room is white, rooms passed before are green, those with a mistake and not yet passed
    red, and the others grey.
    """
    names = [[_name(kind) for kind in row] for row in room_things(size, place.colours)]
    seen = {(x, y) for _, _, x, y in view_cells(place.x, place.y, place.direction)}
    image = draw_map(names, (place.x, place.y, place.direction), seen, tile)
    colours = ["red" if mistakes else "grey" for mistakes in place.mistakes]
    colours[: place.furthest] = ["green"] * place.furthest
    colours[place.room] = "white"
    return np.concatenate([image, draw_strip(colours, image.shape[1], tile)])


def observation_image(observation: npt.ArrayLike, tile: int = 16) -> Image:
    """Draw what is seen in one observation, far row on top, as uint8 (3 * tile, 3 * tile, 3); not the room's number."""
    kinds = np.asarray(observation)[:VIEW].reshape(3, 3, len(KINDS)).argmax(axis=2).tolist()
    return draw_map([[_name(kind) for kind in row] for row in kinds], (1, 2, 3), (), tile)


def map_text(size: int, place: Place) -> str:
    """The room as text: ``#`` wall, ``.`` floor, ``R G B P Y E`` red to grey doors, ``>v<^`` agent; its number."""
    letters = ".#RGBPYE"
    lines = [[letters[kind] for kind in row] for row in room_things(size, place.colours)]
    lines[place.y][place.x] = AGENTS[place.direction]
    told = f"room {place.room + 1} of {len(place.mistakes)}, mistakes {sum(place.mistakes)}"
    return "\n".join([*("".join(line) for line in lines), told])


def _name(kind: int) -> str:
    return ("", "wall")[kind] if kind < DOOR else f"door {COLOURS[kind - DOOR]}"
