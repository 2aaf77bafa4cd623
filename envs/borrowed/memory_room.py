"""MiniGrid's memory room for many agents at once, in numpy.

An agent is (layout, x, y, direction). What it sees in each of these cases is asked of MiniGrid itself, once, and then
looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.moves import EAST, FORWARD, STEP, turn
from expirespan.envs.base.vector import Bools, Facts, Floats, Ints, NumpyVectorEnv

__all__ = ["MemoryVector"]

_STEP = np.array(STEP)


class MemoryVector(NumpyVectorEnv):
    """``num_envs`` of ``ExpireSpan/MiniGridMemoryS13-v0``, step for step what `SyncVectorEnv` makes of as many.

    One exception: an episode that ends by the agent's own doing at the very last step is not truncated as well.
    It draws no pictures; make the scalar environment for these.

    Raises:
        ValueError: a parameter is not allowed.
    """

    ACTIONS: ClassVar[tuple[str, ...]] = ("left", "right", "forward")
    STATE = ("_layout", "_place", "_direction", *NumpyVectorEnv.STATE)
    metadata: dict[str, Any] = NumpyVectorEnv.metadata | {"render_modes": []}

    def __init__(self, num_envs: int = 1, size: int = 13, render_mode: str | None = None) -> None:
        self._room = _room(size)
        seen = self._room.seen
        space = spaces.Box(0, 1, seen.shape[-1:], np.uint8)
        super().__init__(num_envs, space, spaces.Discrete(3), render_mode, {"size": int(size)})
        self._layout = np.zeros(num_envs, np.int64)
        self._place = np.ones((num_envs, 2), np.int64)
        self._direction = np.zeros(num_envs, np.int64)

    def _parse(self, layout: Any) -> Any:
        raise ValueError(f"layout={layout!r}: this environment has none to choose; seed it")

    def _begin(self, indices: Ints, layouts: Sequence[Any] | None) -> None:
        for i in indices.tolist():
            rng = self._generators[i]  # asked in MiniGrid's order
            self._place[i] = rng.integers(1, self._room.hallway_end + 1), self._room.middle
            self._layout[i] = 2 * rng.integers(0, 2) + rng.integers(0, 2)
        self._direction[indices] = EAST
        self._limit[indices] = self._room.max_steps

    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        turn(self._direction, action)
        ahead = self._place + _STEP[self._direction] * (action == FORWARD)[:, None]
        free = self._room.free[ahead[:, 0], ahead[:, 1]]
        self._place = np.where(free[:, None], ahead, self._place)
        x, y = self._place.T
        above, below = (
            (x == self._room.hallway_end + 1) & (y == self._room.middle + side) for side in (-1, 1)
        )
        ended = above | below
        same = (self._layout == 1) | (self._layout == 2)  # the object above is the one to be found
        success = np.where(same, above, below)
        reward = np.where(success, 1 - 0.9 * ((self._steps + 1) / self._room.max_steps), 0.0)
        return reward, ended, success

    def _look(self, indices: Any) -> tuple[npt.NDArray[np.uint8], Facts]:
        x, y = self._place[indices].T
        return self._room.seen[self._layout[indices], x, y, self._direction[indices]], {}

    def _picture(self, i: int) -> Any:
        raise AssertionError("there is no render mode")


class _Room(NamedTuple):
    """``seen`` (layout, x, y, direction, entries) uint8, layout 2 * (a ball is to be found) + (the key is above);
    ``free`` (x, y) bool: where an agent may be.
    """

    seen: npt.NDArray[np.uint8]
    free: Bools
    hallway_end: int
    middle: int
    max_steps: int


@cache
def _room(size: int) -> _Room:
    from minigrid.core.world_object import Ball, Key
    from minigrid.envs.memory import MemoryEnv

    from expirespan.envs.borrowed.scalar import MiniGridView

    env = MiniGridView(MemoryEnv(size=size))
    inner: Any = env.unwrapped
    env.reset(seed=0)
    middle, end = size // 2, size - 3
    free = np.array([[inner.grid.get(x, y) is None for y in range(size)] for x in range(size)])
    seen = np.zeros((4, size, size, 4, env.look().size), np.uint8)
    for layout in range(4):
        wanted, above = (Key, Ball)[layout // 2], (Ball, Key)[layout % 2]
        inner.grid.set(1, middle - 1, wanted("green"))
        inner.grid.set(end + 1, middle - 2, above("green"))
        inner.grid.set(end + 1, middle + 2, (Key if above is Ball else Ball)("green"))
        for x, y in np.argwhere(free):
            for direction in range(4):
                inner.agent_pos, inner.agent_dir = np.array((x, y)), direction
                seen[layout, x, y, direction] = env.look()
    return _Room(seen, free, end, middle, inner.max_steps)
