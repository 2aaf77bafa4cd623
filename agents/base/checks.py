"""Early checks: of arguments before training, of environments before their data is used."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs

from expirespan.memory import ExpireSpan, Memory, MemoryState, Rule, TransformerMemory, TransformerState
from expirespan.ranges import require


def check_count(name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` is an integer >= 1."""
    ok = not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 1
    require(ok, name, value, "an integer >= 1")


def check_observation(observation: Any) -> None:
    """Raise ValueError if what `predict` was given is what ``reset`` returned, or not finite."""
    if isinstance(observation, tuple) and len(observation) == 2 and isinstance(observation[1], dict):
        raise ValueError(
            "predict() was given the tuple (observation, info) instead of an observation: you are "
            "probably mixing Gym API with SB3 VecEnv API. Gym: `obs, info = env.reset()`; "
            "SB3 VecEnv: `obs = vec_env.reset()`. Pass the observation alone."
        )
    parts = observation.items() if isinstance(observation, dict) else [("", observation)]
    for key, part in parts:
        array = np.asarray(part)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = np.argwhere(~np.isfinite(array))[0].tolist()
            where = f"observation{f'[{key!r}]' if key else ''}{place if place else ''}"
            raise ValueError(
                f"predict() was given {where} = {array[tuple(place)]}: every number of an observation must be finite; "
                "check the environment, for instance with stable_baselines3.common.vec_env.VecCheckNan"
            )


def check_finite(
    obs: VecEnvObs, rewards: np.ndarray, num_timesteps: int, infos: Sequence[dict[str, Any]] = ()
) -> None:
    """Raise ValueError if an environment returned NaN or infinity, also in an episode's last observation."""
    _check_finite("observation", obs, num_timesteps)
    _check_finite("reward", rewards, num_timesteps)
    for env, info in enumerate(infos):
        if "terminal_observation" in info:
            _check_finite("terminal observation", info["terminal_observation"], num_timesteps, env)


def _check_finite(name: str, value: Any, num_timesteps: int, env: int | None = None) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            _check_finite(f"{name}[{key!r}]", part, num_timesteps, env)
        return
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all():
        return
    place, *_ = np.argwhere(~np.isfinite(array))
    number = int(place[0]) if env is None else env
    raise ValueError(
        f"environment {number} returned a non-finite {name} ({array[tuple(place)]}) after {num_timesteps} "
        "steps; every observation and reward must be finite. Check the environment, for instance with "
        "stable_baselines3.common.vec_env.VecCheckNan"
    )


def signature(state: MemoryState) -> str:
    """What a state must have in common with those of a memory for that memory to continue it, in words."""
    if isinstance(state, TransformerState):
        layers = state.slots.store.h
        widths = sorted({h_BSD.shape[-1] for h_BSD in layers})
        return f"{type(state).__name__} of {len(layers)} layers of width {', '.join(map(str, widths))}"
    hidden = getattr(state, "hidden", None)
    shape = f" of shape {tuple(hidden.shape[1:])}" if isinstance(hidden, th.Tensor) else ""
    return f"{type(state).__name__}{shape}"


def check_state(state: object, expected: str, batch_size: int) -> MemoryState:
    """Raise ValueError unless ``state`` has the signature ``expected`` and a row for each observation."""
    remedy = "pass what the previous call returned, or state=None to begin with an empty memory"
    if not isinstance(state, MemoryState):
        raise ValueError(f"state must be a MemoryState, got {type(state).__name__}; {remedy}")
    if signature(state) != expected:
        raise ValueError(f"this policy's memory needs a {expected}, got a {signature(state)}; {remedy}")
    if state.batch_size != batch_size:
        raise ValueError(
            f"the state holds {state.batch_size} environments, but there are {batch_size} observations; "
            f"{remedy}, or choose the environments with state[indices]"
        )
    return state


def rules_of(memory: Any) -> list[Rule]:
    """The rule of each layer; nothing for what has none, such as a recurrent memory or None."""
    return memory.rules if isinstance(memory, TransformerMemory) else []


def check_learns_spans(memory: Memory[Any] | None, name: str) -> None:
    """Raise ValueError if there is no span that a lesson in forgetting could shorten."""
    if not any(isinstance(rule, ExpireSpan) for rule in rules_of(memory)):
        raise ValueError(
            f"forgetting needs a memory that learns spans, and {name!r} has none to learn; "
            "leave forgetting=None or choose memory='expire_span'"
        )


def check_class(name: str, given: Any, base: type[Any], otherwise: str) -> None:
    """Raise ValueError unless ``given`` is a subclass of ``base``."""
    if not (isinstance(given, type) and issubclass(given, base)):
        raise ValueError(
            f"{name} is {getattr(given, '__name__', repr(given))}: expected {otherwise} or a subclass of "
            f"{base.__module__}.{base.__name__}"
        )


def check_episode_start(episode_start: Any, batch_size: int) -> np.ndarray:
    """The flags as an array (batch_size,) of bool; ValueError if there is not one for each observation."""
    flags = np.asarray(episode_start)
    if flags.size != batch_size or not (flags.dtype == bool or np.isin(flags, (0, 1)).all()):
        raise ValueError(
            f"episode_start must have a flag (True, False, 1, 0) for each of the {batch_size} observations, "
            f"got {episode_start!r}; pass dones of the step before, all True after a reset"
        )
    return flags.astype(bool).reshape(-1)
