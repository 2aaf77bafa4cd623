"""The corridor's oracle: reaches the optimum from observations alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.envs.base.moves import FORWARD, LEFT, RIGHT
from expirespan.envs.corridor.rules import BLUE_BALL, EMPTY, RED_BALL, RED_DOOR
from expirespan.parameters import NumEnvs
from expirespan.ranges import checked

__all__ = ["CorridorOracle"]


class CorridorOracle:
    """Remembers the last ball it saw, walks on, turns to the door of that colour and enters: return 1."""

    @checked
    def __init__(self, num_envs: NumEnvs) -> None:
        self._ball = np.full(num_envs, -1)  # 0 red, 1 blue, -1 not seen yet

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 3, 3, 6); see `Oracle.act`."""
        views: npt.NDArray[np.bool_] = np.asarray(observations, dtype=bool)
        self._ball[np.asarray(episode_starts, dtype=bool)] = -1
        balls: npt.NDArray[np.bool_] = np.any(views[..., RED_BALL : BLUE_BALL + 1], axis=(1, 2))
        self._ball = np.where(balls.any(axis=1), balls.argmax(axis=1), self._ball)
        right_door = np.take_along_axis(views, (RED_DOOR + self._ball)[:, None, None, None], axis=3)[..., 0]
        right_door &= self._ball[:, None, None] >= 0
        return np.select(
            [right_door[:, 1, 1], right_door[:, 2, 0], right_door[:, 2, 2], views[:, 1, 1, EMPTY]],
            [FORWARD, LEFT, RIGHT, FORWARD],
            default=LEFT,
        )
