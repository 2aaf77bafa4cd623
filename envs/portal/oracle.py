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
        # Of each environment, by the room's number as it is written: the door that leads on, 0 left, 1 right.
        self._leads_on: list[dict[bytes, int]] = [{} for _ in range(num_envs)]
        self._room, self._first = [b""] * num_envs, [b""] * num_envs  # where it is and where it began
        self._side = np.zeros(num_envs, np.int64)  # of the door it goes to
        self._turned = np.zeros(num_envs, np.bool_)
        self._enters = np.zeros(num_envs, np.bool_)  # the action before took it through a door

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 72 and the room's number); see `Oracle.act`.

        Raises:
            ValueError: the observations have no room number.
        """
        views, numbers = np.split(np.asarray(observations), [VIEW], axis=1)
        if not numbers.shape[1]:
            raise ValueError(
                "this oracle must see the room's number: make the environment with show_room=True"
            )
        starts = np.asarray(episode_starts, dtype=bool)
        for i in np.flatnonzero(starts | self._enters).tolist():
            self._arrive(i, numbers[i].tobytes(), bool(starts[i]))
        action = np.where(self._turned, FORWARD, np.where(self._side == 0, LEFT, RIGHT))
        ahead = views.reshape(-1, 3, 3, len(KINDS))[:, 1, 1]
        self._enters = ahead[:, DOOR:].any(axis=1) & (action == FORWARD)
        self._turned[:] = True
        return action

    def _arrive(self, i: int, room: bytes, start: bool) -> None:
        """``room``: its number as it is written, behind which the direction may stand: one arrives facing east."""
        if start:
            self._leads_on[i], self._first[i] = {}, room
        else:  # a wrong door leads back to the first room
            right, side = room != self._first[i], int(self._side[i])
            self._leads_on[i][self._room[i]] = side if right else 1 - side
        self._room[i], self._turned[i] = room, False
        self._side[i] = self._leads_on[i].get(room, 0)
