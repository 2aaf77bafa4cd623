"""The corridor for many agents at once, in numpy: the same episodes as `Corridor`, a hundred times faster.

No grid is held. An agent is (x, row, direction), and what it sees depends only on these, on the two colours
and on its distance to either end as far as it can see: 768 cases, observed once and then looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from expirespan.envs import corridor_pictures, corridor_rules
from expirespan.envs.corridor_rules import (
    AISLE,
    EAST,
    FORWARD,
    LEFT,
    NORTH,
    RIGHT,
    SOUTH,
    WEST,
    CorridorRules,
    Layout,
    Observation,
)
from expirespan.envs.state import KeepsState

__all__ = ["CorridorVector"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_FAR: Final = 3  # from three cells on, an end of the corridor is out of sight


class CorridorVector(KeepsState, VectorEnv[Observation, Ints, Any]):
    """`num_envs` corridors side by side, step for step what `SyncVectorEnv` makes of as many `Corridor`.

    Rules, parameters, observations and infos are on the card of `Corridor`. Infos follow Gymnasium's
    convention, an array per key and a mask ``_key``. An episode that ends begins anew within the same step
    (`AutoresetMode.SAME_STEP`); its last observation and info are in ``final_obs`` and ``final_info``.

    Args:
        num_envs: how many corridors.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``; `render` gives one picture per corridor.

    Raises:
        ValueError: a parameter is not allowed.
    """

    STATE = (
        *("_layouts", "_x", "_y", "_direction", "_steps"),
        *("_length", "_limit", "_paying_row", "_colours"),
    )
    observation_image = staticmethod(corridor_pictures.observation_image)

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        min_length: int = 3,
        max_length: int = 200,
        length_distribution: str = "uniform",
        max_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = CorridorRules(min_length, max_length, length_distribution, max_steps)
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r}: expected at least 1")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r}: expected None or one of {self.metadata['render_modes']}; "
                "to watch in a window make the scalar environment"
            )
        self.metadata = dict(self.metadata)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = corridor_rules.observation_space()
        self.single_action_space = spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._started = False
        self._layouts: list[Layout] = [Layout(corridor_rules.SHORTEST, "red", "left")] * num_envs
        self._x = np.ones(num_envs, np.int64)
        self._y = np.full(num_envs, AISLE, np.int64)
        self._direction = np.full(num_envs, EAST, np.int64)
        self._steps = np.zeros(num_envs, np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._limit = np.zeros(num_envs, np.int64)
        self._paying_row = np.zeros(num_envs, np.int64)
        self._colours = np.zeros(num_envs, np.int64)  # 2 * (ball is red) + (red door is on the left)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every corridor.

        Args:
            seed: an int seeds corridor i with ``seed + i``; a list seeds each (None keeps its generator).
            options: ``{"layout": one layout for all, or a list with one for each}``; see `Layout.parse`.

        Raises:
            ValueError: an unknown option, a layout that does not exist, or a list of the wrong length.
        """
        fixed = self._fixed_layouts(corridor_rules.layout_option(options))
        if isinstance(seed, (int, np.integer)):
            seed = [int(seed) + i for i in range(self.num_envs)]
        elif seed is not None and len(seed) != self.num_envs:
            raise ValueError(
                f"{len(seed)} seeds for {self.num_envs} environments: pass an int or one seed for each"
            )
        self._seed(seed)
        self._begin(range(self.num_envs), fixed)
        self._started = True
        observations, cue = self._look()
        return observations, self._infos(cue)

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[Observation, npt.NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Act in every corridor; 0 turns left, 1 turns right, 2 walks forward.

        Raises:
            ValueError: actions of another shape, or outside the action space.
            ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise ResetNeeded("step() was called before the first reset(): call reset() to begin")
        action = self._checked(actions)
        forward = action == FORWARD
        self._direction += action == RIGHT
        self._direction -= action == LEFT
        self._direction &= 3
        x, direction = self._x, self._direction
        enters = forward & (x == self._length) & ((direction == NORTH) | (direction == SOUTH))
        x += forward & (direction == EAST) & (x < self._length)
        x -= forward & (direction == WEST) & (x > 1)
        self._y += enters * (AISLE - direction)  # SOUTH is 1, NORTH 3
        self._steps += 1

        success = self._y == self._paying_row
        terminated = enters
        truncated = (self._steps >= self._limit) & ~terminated
        observations, cue = self._look()
        ended = np.flatnonzero(terminated | truncated)
        if not ended.size:
            return observations, success.astype(np.float64), terminated, truncated, self._infos(cue)

        final_infos = self._final_infos(ended, observations, cue, success)
        self._begin(ended.tolist())
        observations[ended], cue[ended] = self._look(ended)
        infos = {**final_infos, **self._infos(cue)}
        return observations, success.astype(np.float64), terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """One picture per corridor, as `Corridor.render` gives it; None without a render mode."""
        if self.render_mode is None:
            return None
        draw = corridor_pictures.map_text if self.render_mode == "ansi" else corridor_pictures.map_image
        places = zip(self._x.tolist(), self._y.tolist(), self._direction.tolist(), strict=True)
        return tuple(draw(layout, *place) for layout, place in zip(self._layouts, places, strict=True))

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator of each corridor."""
        self._seed(None)
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each corridor's generator."""
        self._seed(None)
        return tuple(self._seeds)

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state; see `KeepsState`."""
        super().set_state(state)
        self._layouts = [Layout(*layout) for layout in self._layouts]

    def _seed(self, seeds: Sequence[int | None] | None) -> None:
        if not self._generators:
            pairs = [seeding.np_random(seed) for seed in seeds or [None] * self.num_envs]
            self._generators, self._seeds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        elif seeds is not None:
            for i, seed in enumerate(seeds):
                if seed is not None:
                    self._generators[i], self._seeds[i] = seeding.np_random(seed)

    def _fixed_layouts(self, option: Any) -> list[Layout] | None:
        if option is None:
            return None
        if not isinstance(option, list):
            return [Layout.parse(option)] * self.num_envs
        if len(option) != self.num_envs:
            raise ValueError(
                f"{len(option)} layouts for {self.num_envs} environments: pass one for all, or one for each"
            )
        return [Layout.parse(layout) for layout in option]

    def _begin(self, indices: Sequence[int], fixed: Sequence[Layout] | None = None) -> None:
        """Put the agents of these corridors at the start of a new episode, drawn unless fixed."""
        layouts = fixed or [self.rules.draw(self._generators[i]) for i in indices]
        for i, layout in zip(indices, layouts, strict=True):
            self._layouts[i] = layout
        begun = np.asarray(indices, dtype=np.int64)
        self._x[begun], self._y[begun], self._direction[begun], self._steps[begun] = 1, AISLE, EAST, 0
        self._length[begun] = [layout.length for layout in layouts]
        self._limit[begun] = [self.rules.step_limit(layout.length) for layout in layouts]
        self._paying_row[begun] = [AISLE - 1 if layout.pays(AISLE - 1) else AISLE + 1 for layout in layouts]
        self._colours[begun] = [_colours(layout) for layout in layouts]

    def _look(self, indices: Ints | slice = slice(None)) -> tuple[Observation, Bools]:
        """What these agents see, and whether the ball is in it."""
        x = self._x[indices]
        case = self._direction[indices] * 3 + self._y[indices] - (AISLE - 1)
        case = case * 4 + np.minimum(x - 1, _FAR)
        case = case * 4 + np.minimum(self._length[indices] - x, _FAR)
        case = case * 4 + self._colours[indices]
        views, cues = _views()
        return np.take(views, case, axis=0), np.take(cues, case)

    def _infos(self, cue: Bools) -> dict[str, Any]:
        present = np.ones(self.num_envs, np.bool_)
        return {"cue": cue, "_cue": present, "length": self._length.copy(), "_length": present.copy()}

    def _final_infos(
        self, ended: Ints, observations: Observation, cue: Bools, success: Bools
    ) -> dict[str, Any]:
        mask = np.zeros(self.num_envs, np.bool_)
        mask[ended] = True
        final_obs = np.full(self.num_envs, None, dtype=object)
        for i, observation in zip(ended.tolist(), observations[ended], strict=True):
            final_obs[i] = observation
        final_info: dict[str, Any] = {}
        for key, value in (("cue", cue), ("length", self._length), ("is_success", success)):
            final_info[key], final_info[f"_{key}"] = np.where(mask, value, np.zeros_like(value)), mask.copy()
        return {
            "final_obs": final_obs,
            "_final_obs": mask,
            "final_info": final_info,
            "_final_info": mask.copy(),
        }

    def _checked(self, actions: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
        action = np.asarray(actions)
        if action.shape != (self.num_envs,) or action.dtype.kind not in "iu":
            raise ValueError(
                f"actions of shape {action.shape} and type {action.dtype}: expected {self.num_envs} integers"
            )
        if action.min() < LEFT or action.max() > FORWARD:
            raise ValueError(
                f"actions from {action.min()} to {action.max()}: "
                "expected 0 (turn left), 1 (turn right) or 2 (walk forward)"
            )
        return action


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
