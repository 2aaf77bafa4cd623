"""Running statistics of wrappers that normalise observations or rewards: a policy acts well only with its own.

Found in every layer around and inside an environment: attributes that are a `RunningMeanStd` of Stable-Baselines3 or
Gymnasium, or a dict of them, as `VecNormalize`, `NormalizeObservation` and `NormalizeReward` have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd
from stable_baselines3.common.running_mean_std import RunningMeanStd as SB3RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv

Statistics = list[dict[str, Any]]
"""Of each layer that has some, outermost first: its ``kind``, ``values`` by attribute, and its ``settings``."""
SETTINGS = ("epsilon", "clip_obs")
"""Numbers by which wrappers normalise observations beside statistics; a file to act with holds them."""
MOMENTS = ("mean", "var", "count")
HIDDEN = ("obs_rms", "return_rms")
"""Attributes of Gymnasium's wrappers, looked for in environments that run in processes of their own."""


def statistics_of(env: Any) -> Statistics:
    """The statistics of all layers of a vector environment or of a single one; copies."""
    found = ((layer, dict(_running(layer))) for layer in layers(env))
    return [
        {
            "kind": type(layer).__name__,
            "values": {name: _moments(rms) for name, rms in running.items()},
            "settings": {name: float(vars(layer)[name]) for name in SETTINGS if name in vars(layer)},
        }
        for layer, running in found
        if running
    ]


def set_statistics(env: VecEnv, statistics: Statistics) -> None:
    """Put back what `statistics_of` returned. Without any, those of ``env`` stay.

    Raises:
        ValueError: they are those of other wrappers, of other observations, or of another number of environments.
    """
    if not statistics:
        return
    found = [layer for layer in layers(env) if dict(_running(layer))]
    present, saved = [type(layer).__name__ for layer in found], [part["kind"] for part in statistics]
    if present != saved:
        raise ValueError(
            f"it learned in environments normalised by {_listed(saved)}, and the one given has {_listed(present)}: "
            "wrap it as in training; the statistics then come back from the file (those of VecNormalize into any "
            "number of environments)"
        )
    for layer, part in zip(found, statistics, strict=True):
        running = dict(_running(layer))
        shapes = {name: np.shape(rms.mean) for name, rms in running.items()}
        before = {name: np.shape(values["mean"]) for name, values in part["values"].items()}
        if shapes != before:
            raise ValueError(
                f"the statistics of {part['kind']} are of {before}, and the environment given has {shapes}: give one "
                "with the same observations and arguments"
            )
        for name, rms in running.items():
            for moment in MOMENTS:
                setattr(rms, moment, _copy(part["values"][name][moment]))


def hidden_statistics(env: VecEnv) -> bool:
    """Whether environments that run in processes of their own have statistics, which cannot be had and set."""
    for layer in layers(env):
        call = getattr(layer, "env_method", None) or getattr(layer, "call", None)
        if hasattr(layer, "processes") and call is not None:
            return any(any(call("has_wrapper_attr", name)) for name in HIDDEN)
    return False


def layers(env: Any) -> Iterator[Any]:
    """A vector environment, what it wraps, and each single environment in it with what that wraps."""
    while env is not None:
        yield env
        for single in vars(env).get("envs", ()):
            yield from layers(single)
        env = vars(env).get("venv", vars(env).get("env"))


def _running(layer: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(layer).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for key, part in parts:
            if isinstance(part, RunningMeanStd | SB3RunningMeanStd):
                yield f"{name}.{key}" if isinstance(value, dict) else name, part


def _moments(rms: Any) -> dict[str, Any]:
    return {moment: _copy(getattr(rms, moment)) for moment in MOMENTS}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _listed(kinds: list[str]) -> str:
    return (
        ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in Counter(kinds).items()) or "no such wrapper"
    )
