"""An environment in which both a mask and a memory are needed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

ACTIONS, DELAY = 4, 4


class MaskedRecall(gym.Env[np.ndarray, int]):
    """The first observation shows one of the actions; after a delay it must be taken.

    On the way only waiting (action 0) is allowed, at the end the action shown and one other. What is not allowed ends
    the episode with a return of -1, and counts in ``forbidden``. ``how``: the mask is told by "method" or by "info".
    """

    observation_space = spaces.Box(0.0, 1.0, (ACTIONS + 1,), np.float32)
    action_space = spaces.Discrete(ACTIONS)
    forbidden = 0

    def __init__(self, how: str = "method") -> None:
        if how == "method":
            self.action_masks = self.mask
        self.how = how

    def mask(self) -> np.ndarray:
        """What is allowed now."""
        allowed = np.zeros(ACTIONS, dtype=bool)
        allowed[[self.shown, self.other] if self.time == DELAY else 0] = True
        return allowed

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.mask().astype(np.int8)} if self.how == "info" else {}

    def _observation(self) -> np.ndarray:
        seen = np.zeros(ACTIONS + 1, np.float32)
        if self.time == 0:
            seen[self.shown] = 1
        seen[-1] = self.time == DELAY
        return seen

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw what is shown."""
        super().reset(seed=seed)
        self.shown, self.other = self.np_random.choice(np.arange(1, ACTIONS), 2, replace=False)
        self.time = 0
        return self._observation(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Wait, or answer."""
        if not self.mask()[action]:
            type(self).forbidden += 1
            return self._observation(), -1.0, True, False, self._info()
        ended, right = self.time == DELAY, float(action == self.shown)
        self.time += not ended
        return self._observation(), right if ended else 0.0, ended, False, self._info()


gym.register("MaskedRecall-v0", MaskedRecall)
