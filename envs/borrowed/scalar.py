"""Environments of Gymnasium and MiniGrid, wrapped such that an agent must remember.

``gym.make_vec`` runs them one after the other; only the memory room has a numpy twin (`memory_room.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.registration import WrapperSpec
from gymnasium.utils import RecordConstructorArgs

__all__ = ["KeepEntries", "MiniGridView", "register_borrowed"]


class KeepEntries(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Of a vector observation, only some entries: for instance positions without velocities.

    Raises:
        ValueError: the observation is no vector, or has no such entries.
    """

    def __init__(self, env: gym.Env[Any, Any], entries: Sequence[int]) -> None:
        RecordConstructorArgs.__init__(self, entries=entries)
        super().__init__(env)
        space, self.entries = env.observation_space, list(entries)
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"KeepEntries reads a vector observation, and this one is {space}")
        if not self.entries or not all(0 <= entry < space.shape[0] for entry in self.entries):
            raise ValueError(f"entries={entries}: expected some of 0 to {space.shape[0] - 1}")
        low, high = space.low[self.entries], space.high[self.entries]
        self.observation_space = spaces.Box(low, high, dtype=space.dtype.type)

    def observation(self, observation: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those entries."""
        return observation[self.entries]


class MiniGridView(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """MiniGrid's view as one flat one-hot array, the three moves as actions, ``is_success`` in the last info.

    The array has 20 entries per cell, by MiniGrid's ``OneHotPartialObsWrapper``; neither the direction nor the mission
    is seen. Actions are left, right and forward. An episode that pays is a success.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        from minigrid.wrappers import OneHotPartialObsWrapper  # slow to import

        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        one_hot: Any = OneHotPartialObsWrapper
        self._view = one_hot(env)  # beside the chain: Gymnasium could not make it again
        shape = self._view.observation_space["image"].shape
        self.observation_space = spaces.Box(0, 1, (int(np.prod(shape)),), np.uint8)
        self.action_space = spaces.Discrete(3)

    def reset(self, **kwargs: Any) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        """Begin an episode."""
        seen, info = self.env.reset(**kwargs)
        return self._flat(seen), info

    def step(self, action: Any) -> tuple[npt.NDArray[np.uint8], SupportsFloat, bool, bool, dict[str, Any]]:
        """One move."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info["is_success"] = float(reward) > 0
        return self._flat(seen), reward, terminated, truncated, info

    def look(self) -> npt.NDArray[np.uint8]:
        """What the agent sees where it is."""
        return self._flat(self.env.unwrapped.gen_obs())  # type: ignore[attr-defined]

    def _flat(self, seen: dict[str, Any]) -> npt.NDArray[np.uint8]:
        image: npt.NDArray[np.uint8] = self._view.observation(seen)["image"].astype(np.uint8)
        return image.ravel()


def memory_room(size: int, render_mode: str | None = None) -> MiniGridView:
    """MiniGrid's memory environment through `MiniGridView`."""
    from minigrid.envs.memory import MemoryEnv  # slow to import

    return MiniGridView(MemoryEnv(size=size, render_mode=render_mode))


_HERE = "expirespan.envs.borrowed.scalar"
_POSITIONS = {
    "ExpireSpan/CartPoleNoVel-v1": ("CartPole-v1", (0, 2)),
    "ExpireSpan/PendulumNoVel-v1": ("Pendulum-v1", (0, 1)),
}


def register_borrowed() -> None:
    """Register these ids with Gymnasium, unless they are; the originals' versions are theirs too.

    - ``ExpireSpan/CartPoleNoVel-v1``: CartPole-v1 that shows only where cart and pole are, (2,).
    - ``ExpireSpan/PendulumNoVel-v1``: Pendulum-v1 that shows only the pole's cosine and sine, (2,).
    - ``ExpireSpan/MiniGridMemoryS13-v0``: MiniGrid-MemoryS13-v0 through `MiniGridView`, (980,).
    """
    for name, (original, entries) in _POSITIONS.items():
        if name not in gym.registry:
            spec = gym.spec(original)
            keep = WrapperSpec("KeepEntries", f"{_HERE}:KeepEntries", {"entries": entries})
            gym.register(
                name, spec.entry_point, max_episode_steps=spec.max_episode_steps, additional_wrappers=(keep,)
            )
    name = "ExpireSpan/MiniGridMemoryS13-v0"
    if name not in gym.registry:
        gym.register(
            name,
            f"{_HERE}:memory_room",
            vector_entry_point="expirespan.envs.borrowed.memory_room:MemoryVector",
            kwargs={"size": 13},
        )
