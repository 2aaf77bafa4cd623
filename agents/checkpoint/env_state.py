"""State of environments, read through their wrappers, for a run that continues exactly where it stopped.

An environment or wrapper that can be restored has ``get_state() -> dict`` (arrays, and what JSON can hold; copies)
and ``set_state(state)`` in its own class. Those of Stable-Baselines3 and Gymnasium that lie around ours have not,
and are listed here with the attributes that make up their state.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.wrappers.vector import NormalizeReward, RecordEpisodeStatistics, TransformReward
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv, VecMonitor, VecNormalize, VecTransposeImage

ARRAYS: dict[type[Any], tuple[str, ...]] = {
    RecordEpisodeStatistics: ("episode_count", "episode_returns", "episode_lengths", "prev_dones"),
    TransformReward: (),
    NormalizeReward: ("accumulated_reward", "_prev_dones"),
    VecNormalize: ("returns",),
    VecMonitor: ("episode_count", "episode_returns", "episode_lengths"),
    VecTransposeImage: (),
    VecCheckNan: (),
}
"""State of foreign wrappers: numbers and arrays by attribute; running statistics are apart (`statistics.py`)."""

QUEUES = ("time_queue", "return_queue", "length_queue")
CLOCKS = ("episode_start_times", "t_start")


class NoStateError(NotImplementedError):
    """An environment, or a wrapper of it, whose state cannot be had or set."""


def get_env_state(env: VecEnv) -> list[dict[str, Any]]:
    """State of every layer of a vector environment, outermost first; copies.

    Raises:
        NoStateError: one of them keeps its state to itself.
    """
    return [get_layer_state(layer) for layer in _layers(env, "venv")]


def set_env_state(env: VecEnv, state: list[dict[str, Any]]) -> None:
    """Put back what `get_env_state` returned.

    Raises:
        NoStateError: a layer has no state to set.
        ValueError: it is the state of other layers, or of another number of environments.
    """
    set_layer_states(list(_layers(env, "venv")), state)


def set_layer_states(layers: list[Any], state: list[dict[str, Any]]) -> None:
    """Put back the states of layers."""
    kinds, saved = [type(layer).__name__ for layer in layers], [part.get("kind") for part in state]
    for layer in layers:
        _check(layer, "set_state")
    if kinds != saved:
        raise ValueError(
            f"the state is that of {' around '.join(map(str, saved))}, and the environment given is "
            f"{' around '.join(kinds)}; give it the wrappers it was saved with"
        )
    for layer, part in zip(layers, state, strict=True):
        _set(layer, part)


def get_layer_state(layer: Any) -> dict[str, Any]:
    """State of one layer, with its ``kind``."""
    _check(layer, "get_state")
    kind = type(layer).__name__
    if hasattr(type(layer), "get_state"):
        return {"kind": kind, "own": layer.get_state()}
    values = {name: _copy(getattr(layer, name)) for name in ARRAYS[type(layer)]}
    clocks = {name: _now(name) - getattr(layer, name) for name in CLOCKS if hasattr(layer, name)}
    queues = {name: np.array(getattr(layer, name)) for name in QUEUES if name in vars(layer)}
    return {"kind": kind, "values": values, "elapsed": clocks, "queues": queues}


def _set(layer: Any, state: dict[str, Any]) -> None:
    if hasattr(type(layer), "set_state"):
        layer.set_state(state["own"])
        return
    for name, value in state["values"].items():
        before = getattr(layer, name)
        if np.shape(value) != np.shape(before):
            raise ValueError(
                f"{name} of {type(layer).__name__} has shape {np.shape(value)} in the state, expected "
                f"{np.shape(before)}: it is that of another number of environments"
            )
        setattr(layer, name, _copy(value))
    for name, elapsed in state["elapsed"].items():
        setattr(layer, name, _now(name) - elapsed)
    for name, values in state["queues"].items():
        setattr(layer, name, deque(values, maxlen=getattr(layer, name).maxlen))


def _check(layer: Any, method: str) -> None:
    if not hasattr(type(layer), method) and type(layer) not in ARRAYS:
        raise NoStateError(f"{type(layer).__name__} has no {method}()")


def _layers(env: Any, inner: str) -> Iterator[Any]:
    while env is not None:
        yield env
        env = vars(env).get(inner)


def _now(name: str) -> float:
    """The clock by which an attribute was set."""
    return time.time() if name == "t_start" else time.perf_counter()


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
