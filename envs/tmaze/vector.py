"""The endless T-maze for many agents at once, in numpy: the same episodes as `EndlessTMaze`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.moves import FORWARD
from expirespan.envs.base.vector import Bools, Facts, Floats, Ints, NumpyVectorEnv
from expirespan.envs.tmaze import rules as tmaze_rules
from expirespan.envs.tmaze.rules import JUNCTION, POSITION, Layout, Observation, Place, TMazeRules
from expirespan.parameters import Corridors, Cost, MazeLength, NumEnvs, StepLimit

__all__ = ["EndlessTMazeVector"]


class EndlessTMazeVector(NumpyVectorEnv):
    """`num_envs` mazes side by side, step for step what `SyncVectorEnv` makes of as many `EndlessTMaze`.

    Rules, parameters, observations and infos are on the card of `EndlessTMaze`.

    Args:
        num_envs: how many mazes.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``; `render` gives one picture per maze.

    Raises:
        ValueError: a parameter is not allowed.
    """

    STATE = (*NumpyVectorEnv.STATE, "_lengths", "_cues", "_passed", "_x", "_length", "_cue")
    ACTIONS = tmaze_rules.ACTIONS
    observation_image = staticmethod(tmaze_rules.observation_image)

    def __init__(
        self,
        num_envs: NumEnvs = 1,
        corridors: Corridors = 3,
        min_length: MazeLength = 5,
        max_length: MazeLength = 5,
        delay_penalty: Cost = 0.01,
        max_steps: StepLimit | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = TMazeRules(corridors, min_length, max_length, delay_penalty, max_steps)
        space = self.rules.observation_space()
        super().__init__(num_envs, space, spaces.Discrete(3), render_mode, asdict(self.rules))
        self._lengths = np.zeros((num_envs, corridors), np.int64)
        self._cues = np.zeros((num_envs, corridors), np.int64)
        self._passed = np.zeros(num_envs, np.int64)
        self._x = np.zeros(num_envs, np.int64)
        self._length = np.zeros(num_envs, np.int64)  # of the present corridor, as its cue
        self._cue = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, np.bool_)

    def _parse(self, layout: Any) -> Layout:
        return self.rules.parse(layout)

    def _begin(self, indices: Ints, layouts: Sequence[Layout] | None) -> None:
        if layouts is None:
            lengths, cues = self.rules.from_draws(self._uniforms(indices, self.rules.draws))
        else:
            lengths = np.array([layout.lengths for layout in layouts], np.int64)
            cues = np.array([layout.cues for layout in layouts], np.int64)
        self._lengths[indices], self._cues[indices] = lengths, cues
        self._limit[indices] = self.rules.step_limit
        self._passed[indices], self._over[indices] = 0, False
        self._enter(indices)

    def _enter(self, indices: Ints) -> None:
        passed = self._passed[indices]
        self._x[indices] = 0
        self._length[indices] = self._lengths[indices, passed]
        self._cue[indices] = self._cues[indices, passed]

    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        forward, at_junction = action == FORWARD, self._x == self._length
        turns = at_junction & ~forward
        right = turns & (action == self._cue)
        self._x += forward & ~at_junction
        self._passed += right
        success = right & (self._passed == self.rules.corridors)
        self._over = success | (turns & ~right)
        rewards = np.zeros(self.num_envs)
        rewards[forward == at_junction] = -self.rules.delay_penalty
        rewards[turns] = -1.0
        rewards[right] = 1.0
        self._enter(np.flatnonzero(right & ~success))
        return rewards, self._over.copy(), success

    def _look(self, indices: Any) -> tuple[Observation, Facts]:
        x, cue, going_on = self._x[indices], self._cue[indices], ~self._over[indices]
        at_start = (x == 0) & going_on
        observations = np.zeros((len(x), 4), np.float32)
        observations[:, 0] = at_start & (cue == 0)
        observations[:, 1] = at_start & (cue == 1)
        observations[:, JUNCTION] = (x == self._length[indices]) & going_on
        observations[:, POSITION] = x * going_on / self.rules.max_length
        return observations, {"cue": at_start, "passed": self._passed[indices].copy()}

    def _picture(self, i: int) -> Any:
        place = Place(
            int(self._passed[i]),
            self.rules.corridors,
            int(self._x[i]),
            int(self._length[i]),
            int(self._cue[i]),
        )
        return tmaze_rules.map_text(place) if self.render_mode == "ansi" else tmaze_rules.map_image(place)
