"""The portal rooms for many agents at once, in numpy: the same episodes as `PortalRooms`.

No grid is held. What an agent sees depends only on where it stands, which way it faces and the colours of two
doors: 3,600 cases in rooms of 5x5, observed once and then looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.grid_pictures import COLOURS
from expirespan.envs.base.moves import FORWARD, STEP, turn
from expirespan.envs.base.vector import Bools, Facts, Floats, Ints, NumpyVectorEnv
from expirespan.envs.portal import rules as portal_rules
from expirespan.envs.portal.rules import VIEW, Layout, Observation, Place, PortalRules
from expirespan.parameters import (
    Colours,
    Mistakes,
    Multiple,
    NumEnvs,
    Pays,
    RoomCode,
    Rooms,
    RoomSize,
    StepLimit,
)

__all__ = ["PortalRoomsVector"]

_DX, _DY = np.array(STEP).T


class PortalRoomsVector(NumpyVectorEnv):
    """`num_envs` chains of rooms side by side, step for step what `SyncVectorEnv` makes of as many `PortalRooms`.

    Rules, parameters, observations and infos are on the card of `PortalRooms`.

    Args:
        num_envs: how many chains.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``; `render` gives one picture per chain.

    Raises:
        ValueError: a parameter is not allowed.
    """

    STATE = (
        *NumpyVectorEnv.STATE,
        "_colours",
        "_leads_on",
        "_mistakes",
        "_room",
        "_furthest",
        "_x",
        "_y",
        "_direction",
        "_came_through",
    )
    ACTIONS = portal_rules.ACTIONS
    observation_image = staticmethod(portal_rules.observation_image)

    def __init__(
        self,
        num_envs: NumEnvs = 1,
        rooms: Rooms = 50,
        room_size: RoomSize = 5,
        colours: Colours = 6,
        mistakes: Mistakes = 1,
        max_steps: StepLimit = 1000,
        reward_scale: Multiple = 0.1,
        pays: Pays = "every",
        show_room: bool = True,
        room_code: RoomCode = "one-hot",
        show_direction: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.rules = PortalRules(
            rooms,
            room_size,
            colours,
            mistakes,
            max_steps,
            reward_scale,
            pays,
            show_room,
            room_code,
            show_direction,
        )
        space = self.rules.observation_space()
        super().__init__(num_envs, space, spaces.Discrete(3), render_mode, asdict(self.rules))
        self._colours = np.zeros((num_envs, rooms, 2), np.int64)
        self._leads_on = np.zeros((num_envs, rooms), np.int64)
        self._mistakes = np.zeros((num_envs, rooms), np.int64)
        self._room = np.zeros(num_envs, np.int64)  # counted from 0
        self._furthest = np.zeros(num_envs, np.int64)
        self._x = np.zeros(num_envs, np.int64)
        self._y = np.zeros(num_envs, np.int64)
        self._direction = np.zeros(num_envs, np.int64)
        self._came_through = np.zeros(num_envs, np.bool_)
        self._rows = np.arange(num_envs)

    def _parse(self, layout: Any) -> Layout:
        return self.rules.parse(layout)

    def _begin(self, indices: Ints, layouts: Sequence[Layout] | None) -> None:
        if layouts is None:
            colours, leads_on = self.rules.from_draws(self._uniforms(indices, self.rules.draws))
        else:
            colours = np.array([layout.colours for layout in layouts], np.int64)
            leads_on = np.array([layout.leads_on for layout in layouts], np.int64)
        self._colours[indices], self._leads_on[indices] = colours, leads_on
        self._limit[indices] = self.rules.max_steps
        self._mistakes[indices] = self._furthest[indices] = self._room[indices] = 0
        self._came_through[indices] = False
        self._arrive(indices)

    def _arrive(self, indices: Ints) -> None:
        self._x[indices] = self._y[indices] = self.rules.middle
        self._direction[indices] = 0

    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        size = self.rules.room_size
        turn(self._direction, action)
        forward = action == FORWARD
        x = self._x + forward * _DX[self._direction]
        y = self._y + forward * _DY[self._direction]
        outside = (y == 0) | (y > size)
        enters = outside & (x == self.rules.middle)
        stopped = (outside & ~enters) | (x == 0) | (x > size)
        self._x, self._y = np.where(stopped, self._x, x), np.where(stopped, self._y, y)

        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, np.bool_)
        success = np.zeros(self.num_envs, np.bool_)
        self._came_through = enters
        through = np.flatnonzero(enters)
        if through.size:
            room = self._room[through]
            right = (y[through] != 0) == self._leads_on[through, room]
            pays = right if self.rules.pays == "every" else right & (room == self._furthest[through])
            rewards[through] = self.rules.reward_scale * (room + 1) * pays
            self._mistakes[through, room] += ~right
            self._room[through] = np.where(right, room + 1, 0)
            self._furthest[through] = np.maximum(self._furthest[through], self._room[through])
            success[through] = self._room[through] == self.rules.rooms - 1
            terminated[through] = success[through] | (self._mistakes[through, room] > self.rules.mistakes)
            self._arrive(through)
        return rewards, terminated, success

    def _look(self, indices: Any) -> tuple[Observation, Facts]:
        room, rows = self._room[indices], self._rows[indices]
        size = self.rules.room_size
        case = (self._direction[indices] * size + self._y[indices] - 1) * size + self._x[indices] - 1
        colours = self._colours[rows, room]
        case = (case * len(COLOURS) + colours[:, 0]) * len(COLOURS) + colours[:, 1]
        observations = np.zeros((len(rows), *self.single_observation_space.shape), np.uint8)
        observations[:, :VIEW] = np.take(_views(size), case, axis=0)
        self.rules.write_number_and_direction(observations, room, self._direction[indices])
        return observations, {
            "cue": self._came_through[indices].copy(),
            "room": room + 1,
            "furthest": self._furthest[indices] + 1,
        }

    def _picture(self, i: int) -> Any:
        room = int(self._room[i])
        left, right = self._colours[i, room].tolist()
        place = Place(
            int(self._x[i]),
            int(self._y[i]),
            int(self._direction[i]),
            (left, right),
            room,
            int(self._furthest[i]),
            tuple(self._mistakes[i].tolist()),
        )
        draw = portal_rules.map_text if self.render_mode == "ansi" else portal_rules.map_image
        return draw(self.rules.room_size, place)


@cache
def _views(size: int) -> Observation:
    """All views in rooms of this size, flattened: (cases, 72); the order is that of `PortalRoomsVector._look`."""
    rooms = {
        (left, right): portal_rules.room_things(size, (left, right))
        for left in range(len(COLOURS))
        for right in range(len(COLOURS))
    }
    places = [(d, y, x) for d in range(4) for y in range(1, size + 1) for x in range(1, size + 1)]
    return np.stack(
        [portal_rules.view(room, x, y, d).ravel() for d, y, x in places for room in rooms.values()]
    )
