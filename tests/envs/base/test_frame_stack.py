"""Stacked observations: the same as Gymnasium's wrapper around each environment, state, and bad input."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FrameStackObservation

from expirespan.envs import VectorFrameStackObservation

ID, PARAMETERS = "ExpireSpan/PortalRooms-v0", {"rooms": 4, "room_size": 3, "max_steps": 40}


def ours(num_envs: int = 3, stack_size: int = 3) -> VectorFrameStackObservation:
    return VectorFrameStackObservation(gym.make_vec(ID, num_envs, **PARAMETERS), stack_size)


def theirs(num_envs: int = 3, stack_size: int = 3) -> SyncVectorEnv:
    def make() -> gym.Env[Any, Any]:
        return FrameStackObservation(gym.make(ID, **PARAMETERS), stack_size)

    return SyncVectorEnv([partial(make)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("stack_size", [1, 2, 5])
def test_it_is_gymnasiums_wrapper_around_each_environment(stack_size: int) -> None:
    mine, reference = ours(stack_size=stack_size), theirs(stack_size=stack_size)
    assert mine.single_observation_space == reference.single_observation_space
    assert mine.observation_space == reference.observation_space
    np.testing.assert_array_equal(mine.reset(seed=5)[0], reference.reset(seed=5)[0])
    rng, ended = np.random.default_rng(0), 0
    for _ in range(300):
        actions = rng.choice(3, 3, p=[0.2, 0.2, 0.6])
        found, expected = mine.step(actions), reference.step(actions)
        for one, other in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        assert mine.observation_space.contains(found[0])
        for i in np.flatnonzero(found[2] | found[3]):
            ended += 1
            np.testing.assert_array_equal(found[4]["final_obs"][i], expected[4]["final_obs"][i])
    assert ended > 5


def test_what_was_given_does_not_change_later() -> None:
    envs = ours()
    first = envs.reset(seed=0)[0]
    kept = first.copy()
    second = envs.step(np.full(3, 2))[0]
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second[:, 1], first[:, -1])


def test_it_goes_on_from_a_state() -> None:
    envs = ours()
    envs.reset(seed=0)
    for _ in range(7):
        envs.step(np.full(3, 2))
    inner, outer = envs.unwrapped.get_state(), envs.get_state()  # type: ignore[attr-defined]
    expected = [envs.step(np.full(3, 1))[0] for _ in range(3)]
    other = ours()
    other.reset(seed=9)
    other.unwrapped.set_state(inner)  # type: ignore[attr-defined]
    other.set_state(outer)
    for observations in expected:
        np.testing.assert_array_equal(other.step(np.full(3, 1))[0], observations)
    with pytest.raises(ValueError, match=r"shape \(3, 3, 76\) and type uint8: expected \(2, 3, 76\)"):
        ours(2).set_state(outer)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="stack_size must be an integer of observations >= 1, got 0"):
        ours(stack_size=0)
    with pytest.raises(ValueError, match=r"stack_size must be an integer .*, got 2\.5"):
        ours(stack_size=2.5)  # type: ignore[arg-type]
    for state in ({}, {"stack": np.full((2, 3, 76), np.nan)}):
        with pytest.raises(ValueError, match=r"expected \(2, 3, 76\) and uint8"):
            ours(2).set_state(state)
    with pytest.raises(ValueError, match="expected AutoresetMode"):
        VectorFrameStackObservation(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync"), 2)
    envs = gym.make_vec(ID, 2, **PARAMETERS)
    envs.single_observation_space = spaces.Discrete(3)
    with pytest.raises(ValueError, match="expected a Box to stack"):
        VectorFrameStackObservation(envs, 2)
