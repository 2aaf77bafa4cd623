"""An environment: a cue at the first step is asked for at the last. Importing this module registers it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs import ORACLES


class Recall(gym.Env[npt.NDArray[np.float32], int]):
    """Observes (cue, asked): the cue -1 or 1 at the first step and 0 later; ``asked`` is 1 at the last step.

    Answering then with the cue (action 0 for -1, 1 for 1) pays 1. Chance is 0.5, also for any agent without memory.
    """

    def __init__(self, delay: int = 8) -> None:
        self.delay = delay
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: Any = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Draw the cue and show it."""
        super().reset(seed=seed)
        self.cue, self.time = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1, 0], np.float32), {"cue": True}

    def step(self, action: int) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Wait, or answer at the last step."""
        over = self.time == self.delay
        right = over and action == self.cue
        self.time += 1
        info = {"is_success": right} if over else {}
        return np.array([0, self.time == self.delay], np.float32), float(right), over, False, info


class RecallOracle:
    """Reaches 1: `expirespan evaluate` shows it beside the agent."""

    def __init__(self, num_envs: int) -> None:
        self.cue = np.zeros(num_envs, np.int64)

    def act(self, observations: Any, episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The cue that was seen last."""
        self.cue = np.where(observations[:, 0] != 0, observations[:, 0] > 0, self.cue).astype(np.int64)
        return self.cue


gym.register("Example/Recall-v0", entry_point=Recall)
ORACLES["Example/Recall-v0"] = RecallOracle
