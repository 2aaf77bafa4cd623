"""The last observations of many environments at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from expirespan.envs.base.checks import check_array
from expirespan.parameters import FrameStack
from expirespan.ranges import checked

__all__ = ["VectorFrameStackObservation"]


class VectorFrameStackObservation(VectorWrapper[Any, Any, Any]):
    """Gymnasium's `FrameStackObservation` for vector environments, which it has not: observations (N, k, ...).

    The newest is last, and at an episode's start the first one stands in for those before it. A policy that sees a
    step beside the one before it can remember both as one: what was done and what came of it.

    Args:
        env: a vector environment of Box observations with ``autoreset_mode=AutoresetMode.SAME_STEP``.
        stack_size: k, at least 1.

    Raises:
        ValueError: other observations, another way to reset, or k < 1.
    """

    @checked
    def __init__(self, env: VectorEnv[Any, Any, Any], stack_size: FrameStack) -> None:
        super().__init__(env)
        one, mode = env.single_observation_space, env.metadata.get("autoreset_mode")
        if not isinstance(one, spaces.Box):
            raise ValueError(f"observations {one}: expected a Box to stack")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode={mode!r}: expected AutoresetMode.SAME_STEP")
        self.stack_size = stack_size = int(stack_size)
        self.single_observation_space = batch_space(one, stack_size)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._stack: npt.NDArray[Any] = np.zeros((self.num_envs, stack_size, *one.shape), one.dtype)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode everywhere."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self._stack[:] = observations[:, None]
        return self._stack.copy(), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Act; ``final_obs`` of episodes that end are stacked as well."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = np.flatnonzero(terminated | truncated)
        before = self._stack[ended, 1:]
        self._stack[:, :-1] = self._stack[:, 1:].copy()
        self._stack[:, -1] = observations
        if ended.size:
            self._stack[ended] = observations[ended, None]
            final = infos["final_obs"].copy()
            for i, past in zip(ended.tolist(), before, strict=True):
                final[i] = np.concatenate([past, final[i][None]])
            infos = infos | {"final_obs": final}
        return self._stack.copy(), rewards, terminated, truncated, infos

    def get_state(self) -> dict[str, Any]:
        """What is stacked, copied; the environments within have a state of their own."""
        return {"stack": self._stack.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from ``state``.

        Raises:
            ValueError: it is that of other environments.
        """
        self._stack = check_array("stack", state.get("stack"), self._stack).copy()
