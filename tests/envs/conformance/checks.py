"""What the tests of every registered environment share."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from expirespan.envs import ENVIRONMENTS

IDS = sorted(ENVIRONMENTS)
EACH = pytest.mark.parametrize("env_id", IDS)
"""A new environment is tested by being registered."""


def quick(env_id: str) -> dict[str, Any]:
    return dict(ENVIRONMENTS[env_id].quick)


def make_vector(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return gym.make_vec(env_id, num_envs=num_envs, **{**quick(env_id), **kwargs})


def make_sync(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return make_sync_of(env_id, num_envs, **{**quick(env_id), **kwargs})


def make_sync_of(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv(
        [lambda: gym.make(env_id, **kwargs)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP
    )


def assert_same(a: Any, b: Any, where: str) -> None:
    """Equal in type, dtype, shape and value, through dicts and object arrays."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, tuple) or (isinstance(a, np.ndarray) and a.dtype == object):
        assert len(a) == len(b), where
        for i, (item_a, item_b) in enumerate(zip(a, b, strict=True)):
            assert_same(item_a, item_b, f"{where}[{i}]")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert a == b, where


def leaves(value: Any) -> list[Any]:
    """The arrays inside dicts and object arrays."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [value] + [leaf for item in value for leaf in leaves(item)]
    return [value] if isinstance(value, np.ndarray) else []


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """A state as a file gives it back: arrays as they are, all else out of JSON."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    return {**json.loads(json.dumps(rest)), **arrays}
