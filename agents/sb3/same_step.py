"""Vector environments that begin the next episode within the step that ends one, as Stable-Baselines3 wants it."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import VectorizeMode
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import DictInfoToList


def same_step(env: VectorEnv[Any, Any, Any]) -> VectorEnv[Any, Any, Any]:
    """``env``, with ``AutoresetMode.SAME_STEP`` and with infos as dicts of arrays.

    Gymnasium's own begin the next episode a step later, unless told otherwise. A `SyncVectorEnv` without wrappers
    is told; what else ``gymnasium.make_vec`` returned is closed and made anew from its spec, as it was or, if it
    cannot be told, from single environments. `DictInfoToList` is taken off.

    Raises:
        ValueError: the environment resets in another way, and cannot be made anew.
    """
    while isinstance(env, DictInfoToList):
        env = env.env
    mode = env.metadata.get("autoreset_mode")
    if mode is AutoresetMode.SAME_STEP:
        return env
    spec = getattr(env, "spec", None)
    if mode is AutoresetMode.NEXT_STEP and env is env.unwrapped:
        if type(env) is SyncVectorEnv:
            env.autoreset_mode = env.metadata["autoreset_mode"] = AutoresetMode.SAME_STEP
            return env
        if spec is not None and spec.entry_point is not None and "vectorization_mode" in spec.kwargs:
            return _anew(env, copy.deepcopy(spec))
    raise ValueError(
        f"autoreset_mode={mode!r}: expected AutoresetMode.SAME_STEP, because Stable-Baselines3 wants the next "
        "episode's first observation in the step that ends one. For instance SyncVectorEnv(..., "
        "autoreset_mode=AutoresetMode.SAME_STEP) or gymnasium.make_vec(id, n, vectorization_mode='sync', "
        "vector_kwargs={'autoreset_mode': AutoresetMode.SAME_STEP}), with wrappers around it"
    )


def _anew(env: VectorEnv[Any, Any, Any], spec: Any) -> VectorEnv[Any, Any, Any]:
    """Made again from its spec, in the same-step mode."""
    own = spec.kwargs["vectorization_mode"] == VectorizeMode.VECTOR_ENTRY_POINT.value
    if own:
        spec.kwargs["vectorization_mode"] = VectorizeMode.SYNC.value
        warnings.warn(
            f"{type(env.unwrapped).__name__} begins episodes a step late, so {env.num_envs} single environments "
            f"{spec.id} in a SyncVectorEnv take its place",
            stacklevel=4,
        )
    given = spec.kwargs.get("vector_kwargs", {})
    spec.kwargs["vector_kwargs"] = given | {"autoreset_mode": AutoresetMode.SAME_STEP}
    env.close()
    return gym.make_vec(spec)
