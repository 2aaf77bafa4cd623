"""The T-maze's oracle: reaches the optimum from observations alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.envs.base.moves import FORWARD, LEFT
from expirespan.envs.tmaze.rules import CUE_LEFT, CUE_RIGHT, JUNCTION
from expirespan.parameters import NumEnvs
from expirespan.ranges import checked

__all__ = ["EndlessTMazeOracle"]


class EndlessTMazeOracle:
    """Walks on to each junction and turns to the side of the last cue it saw: return 1 for each corridor."""

    @checked
    def __init__(self, num_envs: NumEnvs) -> None:
        self._cue = np.full(num_envs, LEFT)

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 4); see `Oracle.act`. Every episode opens with a cue."""
        cues = np.asarray(observations)[:, CUE_LEFT : CUE_RIGHT + 1] > 0
        self._cue = np.where(cues.any(axis=1), cues.argmax(axis=1), self._cue)
        return np.where(np.asarray(observations)[:, JUNCTION] > 0, self._cue, FORWARD)
