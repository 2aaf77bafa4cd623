"""Vector environments that can be saved: going on from a state equals never having stopped."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator

from expirespan.envs import ENVIRONMENTS, EndlessTMazeVector

IDS = [
    name
    for name, listed in ENVIRONMENTS.items()
    if hasattr(load_env_creator(listed.vector_entry_point), "get_state")
]


def play(env: Any, steps: int, seed: int) -> list[Any]:
    env.action_space.seed(seed)
    return [env.step(env.action_space.sample()) for _ in range(steps)]


@pytest.mark.parametrize("env_id", IDS)
def test_going_on_from_a_state(env_id: str) -> None:
    def make() -> Any:
        return gym.make_vec(env_id, num_envs=5, **ENVIRONMENTS[env_id].quick)

    env, again = make(), make()
    env.reset(seed=3)
    play(env, 70, seed=0)
    state = env.get_state()
    expected = play(env, 150, seed=1)
    for _ in range(2):  # the state is a value: using it does not use it up
        again.set_state(state)
        for ours, theirs in zip(play(again, 150, seed=1), expected, strict=True):
            for a, b in zip(ours[:4], theirs[:4], strict=True):
                np.testing.assert_array_equal(a, b)
            assert ours[4].keys() == theirs[4].keys()
            np.testing.assert_array_equal(ours[4]["cue"], theirs[4]["cue"])
    np.testing.assert_array_equal(again.reset()[0], env.reset()[0], err_msg="the generators go on too")


@pytest.mark.parametrize("env_id", IDS)
def test_all_but_arrays_goes_through_json(env_id: str) -> None:
    env = gym.make_vec(env_id, num_envs=2, **ENVIRONMENTS[env_id].quick)
    env.reset(seed=0)
    state = env.get_state()
    rest = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
    assert len(rest) < len(state)
    assert json.loads(json.dumps(rest)) == rest


def test_a_state_of_another_environment_is_refused() -> None:
    env, other = EndlessTMazeVector(2), EndlessTMazeVector(2, corridors=4)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"'corridors': 3.*make it with the parameters of the state"):
        other.set_state(env.get_state())
    state = env.get_state()
    state["_x"] = state["_x"][:1]
    with pytest.raises(ValueError, match=r"_x in the state has shape \(1,\)"):
        env.set_state(state)
