"""Positions of workers as the one of a single process with all environments, and back.

So a checkpoint does not depend on how many workers saved it. Environment i is row i // size of worker i % size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th

from expirespan.agents.workers.workers import Workers
from expirespan.memory import MemoryState

ROWS = ("_last_obs", "_last_original_obs", "_last_episode_starts", "_last_masks")
"""Attributes with a row for each environment."""
LAYERS = ("envs", "layers")
"""Keys of lists of states of layers; elsewhere a list of as many items as environments has one for each."""
WHOLE = ("parameters", "queues", "kind")
"""Keys within the states of environments of what all environments have in common."""
COUNTS = ("num_envs", "episode_count")


def own_part(values: dict[str, Any], workers: Workers, total: int) -> dict[str, Any]:
    """This worker's part of a position, or of attributes, of ``total`` environments."""
    if workers.size == 1:
        return values
    own = dict(values)
    for name in (*ROWS, "envs"):
        if name in own:
            own[name] = _part(own[name], name, workers, total)
    for name in ("memory", "_memory_state"):
        if isinstance(own.get(name), MemoryState) and own[name].batch_size == total:
            own[name] = own[name][th.tensor(workers.own(total))]
    return own


def interleaved(states: list[Any], each: int) -> Any:
    """The state of all environments, out of those of workers who have ``each``."""
    numbers = th.arange(len(states) * each)
    return type(states[0]).cat(states)[numbers % len(states) * each + numbers // len(states)]


def joined(values: list[Any], key: str, each: int) -> Any:
    """One value out of those of all workers, who have ``each`` environments."""
    first = values[0]
    if key in COUNTS:
        return sum(values)
    if isinstance(first, dict) and key not in WHOLE:
        return {name: joined([value[name] for value in values], name, each) for name in first}
    if isinstance(first, list) and key in LAYERS:
        return [joined(list(parts), "", each) for parts in zip(*values, strict=True)]
    if key in WHOLE or not isinstance(first, np.ndarray | list) or not np.ndim(first) or len(first) != each:
        return first
    if isinstance(first, list):
        return [item for row in zip(*values, strict=True) for item in row]
    return np.stack(values, 1).reshape(-1, *first.shape[1:])


def _part(value: Any, key: str, workers: Workers, total: int) -> Any:
    """Inverse of `joined`, for one worker."""
    if key in COUNTS:
        return value // workers.size if key == "num_envs" else value * workers.lead
    if isinstance(value, dict) and key not in WHOLE:
        return {name: _part(part, name, workers, total) for name, part in value.items()}
    if isinstance(value, list) and key in LAYERS:
        return [_part(part, "", workers, total) for part in value]
    if key in WHOLE or not isinstance(value, np.ndarray | list) or not np.ndim(value) or len(value) != total:
        return value
    return value[workers.rank :: workers.size]
