"""The portal rooms' oracle: reaches the optimum from observations alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.envs.base.moves import FORWARD, LEFT, RIGHT
from expirespan.envs.portal.rules import DOOR, KINDS, VIEW
from expirespan.parameters import NumEnvs
from expirespan.ranges import checked

__all__ = ["PortalRoomsOracle"]


class PortalRoomsOracle:
    """Takes the door it knows to lead on, else the left one, and remembers where it came out.

    It needs the room's number in the observation. Every room takes it the fewest steps possible, and it makes no
    mistake twice, nor any on purpose.

    Raises:
        ValueError: ``num_envs`` is no number of environments.
    """

    @checked
    def __init__(self, num_envs: NumEnvs) -> None:
        self._num_envs = num_envs
        self._leads_on = np.zeros((num_envs, 0), np.int64)  # 0 left, 1 right, -1 not known
        self._side = np.zeros(num_envs, np.int64)  # of the door it goes to
        self._first = np.zeros(num_envs, np.int64)  # the number of the first room
        self._room = np.zeros(num_envs, np.int64)  # where it was
        self._turned = np.zeros(num_envs, np.bool_)
        self._enters = np.zeros(num_envs, np.bool_)  # the action before took it through a door

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 72 + rooms); see `Oracle.act`.

        Raises:
            ValueError: the observations have no room number.
        """
        numbers = np.asarray(observations)[:, VIEW:]
        if not numbers.shape[1]:
            raise ValueError(
                "this oracle must see the room's number: make the environment with show_room=True"
            )
        starts = np.asarray(episode_starts, dtype=bool)
        if self._leads_on.shape[1] != numbers.shape[1]:
            self._leads_on = np.full(numbers.shape, -1)
        self._leads_on[starts] = -1
        room, rows = numbers.argmax(axis=1), np.arange(self._num_envs)
        self._first = np.where(starts, room, self._first)
        came = np.flatnonzero(self._enters & ~starts)
        right = room[came] != self._first[came]  # a wrong door leads back to the first room
        self._leads_on[came, self._room[came]] = np.where(right, self._side[came], 1 - self._side[came])
        self._turned &= ~(self._enters | starts)
        self._side = np.where(self._turned, self._side, np.maximum(self._leads_on[rows, room], 0))
        action = np.where(self._turned, FORWARD, np.where(self._side == 0, LEFT, RIGHT))
        ahead = np.asarray(observations)[:, :VIEW].reshape(-1, 3, 3, len(KINDS))[:, 1, 1]
        self._enters = ahead[:, DOOR:].any(axis=1) & (action == FORWARD)
        self._room, self._turned = room, np.ones(self._num_envs, np.bool_)
        return action
