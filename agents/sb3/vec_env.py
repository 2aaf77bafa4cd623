"""The bridge from Gymnasium's vector environments to the vector environments of Stable-Baselines3."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from expirespan.agents.checkpoint.env_state import get_layer_state, set_layer_states
from expirespan.agents.sb3.same_step import same_step

__all__ = ["SB3VecEnv"]


class SB3VecEnv(VecEnv):
    """Gives a Gymnasium `VectorEnv` to Stable-Baselines3, without a Python loop over environments.

    It behaves as `DummyVecEnv` does around as many scalar environments: the same observations, float32
    rewards, dones and infos, one dict per environment. The info of an environment that ended holds its last
    info, ``terminal_observation`` and ``TimeLimit.truncated`` (bool); unlike in `DummyVecEnv` the latter is
    left out where no episode ended. The info of the episode that begins goes to ``reset_infos``. Observations
    are passed on without a copy.

    The environments share one object, so attributes and methods are those of the `VectorEnv`, the same value
    for each index, except in a `SyncVectorEnv`, whose environments are reached one by one.

    Args:
        env: a vector environment with ``autoreset_mode=AutoresetMode.SAME_STEP``, or what ``gymnasium.make_vec``
            returned, which is made anew with it (`same_step`).
        info_keys: which of the vector environment's infos to hand on at every step; None for all.
            Each costs time for every environment. What is reported at an episode's end always comes in full.

    Raises:
        ValueError: the environment resets in another way, or is no vector environment.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], info_keys: Sequence[str] | None = None) -> None:
        if not isinstance(env, VectorEnv):
            raise ValueError(
                f"{type(env).__name__} is not a gymnasium.vector.VectorEnv: make one with "
                "gymnasium.make_vec(); a scalar environment needs no bridge"
            )
        self.env = env = same_step(env)
        self._info_keys = None if info_keys is None else tuple(info_keys)
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begin an episode everywhere, with the seeds and options set by `seed` and `set_options`, used once.

        Raises:
            ValueError: the options differ between environments, which a `VectorEnv` cannot take.
        """
        options = self._options[0]
        if any(other != options for other in self._options):
            raise ValueError("options differ between environments: pass one dict for all to set_options()")
        observations, infos = self.env.reset(seed=self._seed_argument(), options=options or None)
        self.reset_infos = self._info_dicts(infos, None)
        self._reset_seeds()
        self._reset_options()
        return _plain(observations)

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Keep the actions (N, ...), of one row per environment, for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Act: observations, rewards (num_envs,) float32, dones (num_envs,) bool, a dict per environment."""
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        dones = terminated | truncated
        info_dicts = self._info_dicts(infos, self._info_keys)
        for i in np.flatnonzero(dones).tolist():
            begun = _info_of(infos, i)
            # RecordEpisodeStatistics writes beside the new episode's info, but means the one that ended.
            ended = {"episode": begun.pop("episode")} if "episode" in begun else {}
            self.reset_infos[i] = begun
            info_dicts[i] = ended | _info_of(infos.get("final_info", {}), i)
            info_dicts[i]["terminal_observation"] = _plain(infos["final_obs"][i])
            info_dicts[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return _plain(observations), np.asarray(rewards, dtype=np.float32), dones, info_dicts

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_state(self) -> dict[str, Any]:
        """State of the environments and their wrappers, and the seeds that wait for the next reset; copies.

        Raises:
            NoStateError: the vector environment or a wrapper has no ``get_state``.
        """
        return {"seeds": list(self._seeds), "layers": [get_layer_state(layer) for layer in self._stateful()]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what `get_state` returned: the next step is the one that would have followed.

        Raises:
            NoStateError: the vector environment or a wrapper has no ``set_state``.
            ValueError: it is the state of other environments.
        """
        set_layer_states(list(self._stateful()), state["layers"])
        self._seeds = list(state["seeds"])

    def get_images(self) -> Sequence[np.ndarray[Any, Any] | None]:
        """A frame (height, width, 3) of each environment; needs ``render_mode="rgb_array"``."""
        if self.render_mode != "rgb_array":
            warnings.warn(
                f"render_mode={self.render_mode!r}: images need render_mode='rgb_array'", stacklevel=2
            )
            return [None] * self.num_envs
        frames: Any = self.env.render()
        return list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute for each index; AttributeError if neither environment nor wrappers have it."""
        chosen = list(self._get_indices(indices))
        scalars = self._scalars()
        if scalars is not None:
            return [scalars[i].get_wrapper_attr(attr_name) for i in chosen]
        return [getattr(self._owner(attr_name), attr_name)] * len(chosen)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute.

        Raises:
            ValueError: only some of the environments of one shared object were asked for.
        """
        chosen = list(self._get_indices(indices))
        scalars = self._scalars()
        if scalars is not None:
            for i in chosen:
                scalars[i].set_wrapper_attr(attr_name, value)
        else:
            self._refuse_a_part(chosen, f"set_attr({attr_name!r})")
            try:
                owner = self._owner(attr_name)
            except AttributeError:
                owner = self.env.unwrapped
            setattr(owner, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method: once for a shared object, whose result is given for each index.

        Raises:
            ValueError: only some of the environments of one shared object were asked for.
        """
        chosen = list(self._get_indices(indices))
        scalars = self._scalars()
        if scalars is not None:
            return [scalars[i].get_wrapper_attr(method_name)(*method_args, **method_kwargs) for i in chosen]
        self._refuse_a_part(chosen, f"env_method({method_name!r})")
        return [getattr(self._owner(method_name), method_name)(*method_args, **method_kwargs)] * len(chosen)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Whether the wrapper is around the vector environment, or around each environment inside."""
        scalars = self._scalars()
        around = any(isinstance(layer, wrapper_class) for layer in self._layers())
        return [
            around or (scalars is not None and is_wrapped(scalars[i], wrapper_class))
            for i in self._get_indices(indices)
        ]

    def _seed_argument(self) -> Any:
        """Seeds as a VectorEnv takes them: an int s for s, s + 1, ...; a list only where it must be one."""
        first = self._seeds[0]
        if first is None:
            return None if not any(seed is not None for seed in self._seeds) else list(self._seeds)
        return first if self._seeds == [first + i for i in range(self.num_envs)] else list(self._seeds)

    def _info_dicts(self, infos: Mapping[str, Any], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """A dict per environment out of a dict of arrays; one pass for the keys that all of them have."""
        columns: dict[str, list[Any]] = {}
        partial: list[str] = []
        for key in infos if keys is None else keys:
            if key.startswith("_") or key in ("final_obs", "final_info") or key not in infos:
                continue
            present = infos.get(f"_{key}")
            if isinstance(infos[key], np.ndarray) and (present is None or present.all()):
                columns[key] = infos[key].tolist() if infos[key].ndim == 1 else list(infos[key])
            else:
                partial.append(key)
        if columns:
            names = tuple(columns)
            dicts = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        else:
            dicts = [{} for _ in range(self.num_envs)]
        for key in partial:
            present = infos.get(f"_{key}")
            for i in range(self.num_envs) if present is None else np.flatnonzero(present).tolist():
                dicts[i][key] = _entry(infos[key], i)
        return dicts

    def _layers(self) -> Iterator[Any]:
        layer: Any = self.env
        while layer is not None:
            yield layer
            layer = getattr(layer, "env", None)

    def _stateful(self) -> Iterator[Any]:
        """Layers with a state; a wrapper whose class has ``transparent = True`` says that it has none."""
        return (layer for layer in self._layers() if not getattr(type(layer), "transparent", False))

    def _owner(self, name: str) -> Any:
        for layer in self._layers():
            if hasattr(layer, name):
                return layer
        raise AttributeError(f"{self.env} has no attribute {name!r}")

    def _scalars(self) -> Sequence[gym.Env[Any, Any]] | None:
        return getattr(self.env.unwrapped, "envs", None)

    def _refuse_a_part(self, chosen: Sequence[int], call: str) -> None:
        if set(chosen) != set(range(self.num_envs)):
            raise ValueError(
                f"{call} for indices {chosen}: the {self.num_envs} environments are one object; leave "
                "indices out to reach all of them"
            )


def _entry(value: Any, i: int) -> Any:
    """What environment i has of a vectorised info: an array's item, or a dict of such."""
    if isinstance(value, Mapping):
        return _info_of(value, i)
    entry = value[i]
    return entry.item() if isinstance(entry, np.generic) else entry


def _info_of(infos: Mapping[str, Any], i: int) -> dict[str, Any]:
    """The info dict of environment i, with the keys its mask says it has."""
    return {
        key: _entry(value, i)
        for key, value in infos.items()
        if not key.startswith("_")
        and key not in ("final_obs", "final_info")
        and (f"_{key}" not in infos or infos[f"_{key}"][i])
    }


def _plain(observation: Any) -> VecEnvObs:
    """Gymnasium's Dict observations as plain dicts."""
    plain: VecEnvObs = dict(observation) if isinstance(observation, Mapping) else observation
    return plain
