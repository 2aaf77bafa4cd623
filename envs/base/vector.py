"""Base class of numpy vector environments: seeds, resets within a step, infos, saving and restoring.

A subclass says how episodes begin (`_begin`), what actions do (`_move`) and what is seen (`_look`), for many
environments at once, and adds its arrays to `STATE`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from expirespan.envs.base.checks import check_actions, layout_option
from expirespan.envs.base.state import KeepsState
from expirespan.parameters import NumEnvs
from expirespan.ranges import check_values

__all__ = ["NumpyVectorEnv"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Facts = dict[str, Array]


class NumpyVectorEnv(KeepsState, VectorEnv[Array, Ints, Any]):
    """`num_envs` environments side by side, step for step what `SyncVectorEnv` makes of the scalar ones.

    Infos follow Gymnasium's convention, an array per key and a mask ``_key``. An episode that ends begins anew
    within the same step (`AutoresetMode.SAME_STEP`); its last observation and info are in ``final_obs`` and
    ``final_info``. Each environment has its own generator, so what happens in one does not depend on
    how many there are.

    Raises:
        ValueError: ``num_envs`` below 1, or an unknown render mode.
    """

    STATE: tuple[str, ...] = ("_steps", "_limit")
    """Arrays (num_envs, ...) that say where the episodes are; a subclass adds its own."""
    ACTIONS: ClassVar[tuple[str, ...]]
    """What each action does, for error messages."""

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: NumEnvs,
        observation_space: spaces.Box,
        action_space: spaces.Discrete,
        render_mode: str | None,
        parameters: Mapping[str, Any],
    ) -> None:
        check_values({"num_envs": NumEnvs}, {"num_envs": num_envs})
        self.num_envs = int(num_envs)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r}: expected None or one of {self.metadata['render_modes']}; "
                "to watch in a window make the scalar environment"
            )
        self.metadata = dict(self.metadata)
        self.render_mode = render_mode
        self.single_observation_space: Any = observation_space
        self.single_action_space: Any = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._parameters = dict(parameters)
        self._generators: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._started = False
        self._steps = np.zeros(num_envs, np.int64)
        self._limit = np.zeros(num_envs, np.int64)

    @abstractmethod
    def _parse(self, layout: Any) -> Any:
        """Check one ``layout`` of the reset options."""

    @abstractmethod
    def _begin(self, indices: Ints, layouts: Sequence[Any] | None) -> None:
        """Begin an episode in these environments: drawn from their generators, or by parsed layouts.

        Sets `_limit` too, the step at which an episode is truncated.
        """

    @abstractmethod
    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        """Act in every environment: rewards, which episodes terminate, which of them are a success."""

    @abstractmethod
    def _look(self, indices: Any) -> tuple[Array, Facts]:
        """New arrays of what these environments show, and of the facts in their infos."""

    @abstractmethod
    def _picture(self, i: int) -> Any:
        """Environment i as its scalar variant draws it."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode in every environment.

        Args:
            seed: an int seeds environment i with ``seed + i``; a list seeds each (None keeps its generator).
            options: ``{"layout": one layout for all, or a list with one for each}``.

        Raises:
            ValueError: an unknown option, a layout or seed that does not exist, or a list of the wrong length.
        """
        layouts = self._parse_all(layout_option(options))
        self._seed(self._seeds_from(seed))
        self._steps[:] = 0
        self._begin(np.arange(self.num_envs), layouts)
        self._started = True
        observations, facts = self._look(slice(None))
        return observations, _infos(facts, np.ones(self.num_envs, np.bool_))

    def step(self, actions: npt.ArrayLike) -> tuple[Array, Floats, Bools, Bools, dict[str, Any]]:
        """Act in every environment.

        Raises:
            ValueError: actions of another shape, or outside the action space.
            ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise ResetNeeded("step() was called before the first reset(): call reset() to begin")
        rewards, terminated, success = self._move(check_actions(actions, self.num_envs, self.ACTIONS))
        self._steps += 1
        truncated = (self._steps >= self._limit) & ~terminated
        observations, facts = self._look(slice(None))
        ended = np.flatnonzero(terminated | truncated)
        infos: dict[str, Any] = {}
        if ended.size:
            infos = self._final_infos(ended, observations, {**facts, "is_success": success})
            self._steps[ended] = 0
            self._begin(ended, None)
            observations[ended], begun = self._look(ended)
            for key, value in begun.items():
                facts[key][ended] = value
        return (
            observations,
            rewards,
            terminated,
            truncated,
            infos | _infos(facts, np.ones(self.num_envs, np.bool_)),
        )

    def render(self) -> tuple[Any, ...] | None:
        """One picture per environment, as the scalar one gives it; None without a render mode.

        Raises:
            ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise ResetNeeded(
                "render() was called before the first reset(): call reset() to begin an episode"
            )
        return None if self.render_mode is None else tuple(self._picture(i) for i in range(self.num_envs))

    def get_state(self) -> dict[str, Any]:
        """All that the next steps depend on, see `KeepsState`, and the constructor's parameters."""
        self._seed(None)
        return super().get_state() | {"parameters": dict(self._parameters)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called, in an environment made with the same parameters.

        Raises:
            ValueError: it is not the state of such an environment.
        """
        if state.get("parameters", self._parameters) != self._parameters:
            raise ValueError(
                f"a state of an environment with {state['parameters']}: this one was made with {self._parameters}; "
                "make it with the parameters of the state"
            )
        super().set_state(state)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator of each environment."""
        self._seed(None)
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each environment's generator."""
        self._seed(None)
        return tuple(self._seeds)

    def _uniforms(self, indices: Ints, count: int) -> Floats:
        """``count`` numbers from [0, 1) by each of these environments' generators: (len(indices), count)."""
        draws = np.empty((len(indices), count))
        for row, i in enumerate(indices.tolist()):
            self._generators[i].random(out=draws[row])
        return draws

    def _seeds_from(self, seed: Any) -> list[int | None] | None:
        if seed is None:
            return None
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if not isinstance(seed, (Sequence, np.ndarray)) or len(seed) != self.num_envs:
            raise ValueError(
                f"seed={seed!r}: expected an int, or a list of {self.num_envs}, one for each environment"
            )
        return [one.item() if isinstance(one, np.generic) else one for one in seed]

    def _seed(self, seeds: Sequence[int | None] | None) -> None:
        if self._generators and seeds is None:
            return
        old = list(zip(self._generators, self._seeds, strict=True))
        new = [
            old[i] if old and seed is None else seeding.np_random(seed)
            for i, seed in enumerate(seeds or [None] * self.num_envs)
        ]  # all of them, or none if a seed is wrong
        self._generators, self._seeds = [pair[0] for pair in new], [pair[1] for pair in new]

    def _parse_all(self, option: Any) -> list[Any] | None:
        if option is None:
            return None
        if not isinstance(option, list):
            return [self._parse(option)] * self.num_envs
        if len(option) != self.num_envs:
            raise ValueError(
                f"{len(option)} layouts for {self.num_envs} environments: pass one for all, or one for each"
            )
        return [self._parse(layout) for layout in option]

    def _final_infos(self, ended: Ints, observations: Array, facts: Facts) -> dict[str, Any]:
        mask = np.zeros(self.num_envs, np.bool_)
        mask[ended] = True
        final_obs = np.full(self.num_envs, None, dtype=object)
        for i, observation in zip(ended.tolist(), observations[ended], strict=True):
            final_obs[i] = observation
        last = {}
        for key, value in facts.items():
            last[key] = (
                np.full(self.num_envs, None, object) if value.dtype == object else np.zeros_like(value)
            )
            last[key][ended] = value[ended]
        return {
            "final_obs": final_obs,
            "_final_obs": mask,
            "final_info": _infos(last, mask),
            "_final_info": mask.copy(),
        }


def _infos(facts: Facts, mask: Bools) -> dict[str, Any]:
    infos: dict[str, Any] = dict(facts)
    for key in facts:
        infos[f"_{key}"] = mask.copy()
    return infos
