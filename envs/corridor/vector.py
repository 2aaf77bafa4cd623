"""The corridor for many agents at once, in numpy: the same episodes as `Corridor`, a hundred times faster.

No grid is held. An agent is (x, row, direction), and what it sees depends only on these, on the two colours
and on its distance to either end as far as it can see: 768 cases, observed once and then looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.moves import EAST, FORWARD, NORTH, SOUTH, WEST, turn
from expirespan.envs.base.vector import Bools, Facts, Floats, Ints, NumpyVectorEnv
from expirespan.envs.corridor import pictures as corridor_pictures
from expirespan.envs.corridor import rules as corridor_rules
from expirespan.envs.corridor.rules import AISLE, CorridorRules, Layout, Observation
from expirespan.parameters import CorridorLength, Lengths, NumEnvs, StepLimit

__all__ = ["CorridorVector"]

_FAR: Final = 3  # from three cells on, an end of the corridor is out of sight


class CorridorVector(NumpyVectorEnv):
    """`num_envs` corridors side by side, step for step what `SyncVectorEnv` makes of as many `Corridor`.

    Rules, parameters, observations and infos are on the card of `Corridor`.

    Args:
        num_envs: how many corridors.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``; `render` gives one picture per corridor.

    Raises:
        ValueError: a parameter is not allowed.
    """

    STATE = (
        *("_layouts", "_x", "_y", "_direction", "_length", "_paying_row", "_colours"),
        *NumpyVectorEnv.STATE,
    )
    ACTIONS = corridor_rules.ACTIONS
    observation_image = staticmethod(corridor_pictures.observation_image)

    def __init__(
        self,
        num_envs: NumEnvs = 1,
        min_length: CorridorLength = 3,
        max_length: CorridorLength = 200,
        length_distribution: Lengths = "uniform",
        max_steps: StepLimit | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = CorridorRules(min_length, max_length, length_distribution, max_steps)
        space = corridor_rules.observation_space()
        super().__init__(num_envs, space, spaces.Discrete(3), render_mode, asdict(self.rules))
        self._layouts: list[Layout] = [Layout(corridor_rules.SHORTEST, "red", "left")] * num_envs
        self._x = np.ones(num_envs, np.int64)
        self._y = np.full(num_envs, AISLE, np.int64)
        self._direction = np.full(num_envs, EAST, np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._paying_row = np.zeros(num_envs, np.int64)
        self._colours = np.zeros(num_envs, np.int64)  # 2 * (ball is red) + (red door is on the left)

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state; see `NumpyVectorEnv`."""
        super().set_state(state)
        self._layouts = [Layout(*layout) for layout in self._layouts]

    def _parse(self, layout: Any) -> Layout:
        return Layout.parse(layout)

    def _begin(self, indices: Ints, layouts: Sequence[Layout] | None) -> None:
        layouts = layouts or [self.rules.draw(self._generators[i]) for i in indices.tolist()]
        for i, layout in zip(indices.tolist(), layouts, strict=True):
            self._layouts[i] = layout
        self._x[indices], self._y[indices], self._direction[indices] = 1, AISLE, EAST
        self._length[indices] = [layout.length for layout in layouts]
        self._limit[indices] = [self.rules.step_limit(layout.length) for layout in layouts]
        self._paying_row[indices] = [AISLE - 1 if layout.pays(AISLE - 1) else AISLE + 1 for layout in layouts]
        self._colours[indices] = [_colours(layout) for layout in layouts]

    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        forward = action == FORWARD
        turn(self._direction, action)
        x, direction = self._x, self._direction
        enters = forward & (x == self._length) & ((direction == NORTH) | (direction == SOUTH))
        x += forward & (direction == EAST) & (x < self._length)
        x -= forward & (direction == WEST) & (x > 1)
        self._y += enters * (AISLE - direction)  # SOUTH is 1, NORTH 3
        success = self._y == self._paying_row
        return success.astype(np.float64), enters, success

    def _look(self, indices: Any) -> tuple[Observation, Facts]:
        x = self._x[indices]
        case = self._direction[indices] * 3 + self._y[indices] - (AISLE - 1)
        case = case * 4 + np.minimum(x - 1, _FAR)
        case = case * 4 + np.minimum(self._length[indices] - x, _FAR)
        case = case * 4 + self._colours[indices]
        views, cues = _views()
        facts = {"cue": np.take(cues, case), "length": self._length[indices].copy()}
        return np.take(views, case, axis=0), facts

    def _picture(self, i: int) -> Any:
        draw = corridor_pictures.map_text if self.render_mode == "ansi" else corridor_pictures.map_image
        return draw(self._layouts[i], int(self._x[i]), int(self._y[i]), int(self._direction[i]))


def _colours(layout: Layout) -> int:
    return 2 * (layout.ball == "red") + (layout.red_door == "left")


@cache
def _views() -> tuple[Observation, Bools]:
    """All observations (768, 3, 3, 6), and for each whether the ball is in it; see `CorridorVector._look`."""
    layouts = sorted(
        (Layout(0, ball, door) for ball in ("red", "blue") for door in ("left", "right")), key=_colours
    )
    views = np.stack(
        [
            corridor_rules.observe(layout._replace(length=behind + 1 + ahead), behind + 1, y, direction)
            for direction in range(4)
            for y in (AISLE - 1, AISLE, AISLE + 1)
            for behind in range(_FAR + 1)
            for ahead in range(_FAR + 1)
            for layout in layouts
        ]
    )
    return views, corridor_rules.shows_ball(views)
