"""Every registered environment: what it refuses, and that nothing changes then."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from expirespan.envs import ORACLES
from tests.envs.conformance.checks import EACH, assert_same, make_vector, quick

pytestmark = EACH


def test_step_and_render_before_reset_are_refused(env_id: str) -> None:
    kwargs = quick(env_id) | {"render_mode": "ansi"}
    for env in (gym.make(env_id, **kwargs).unwrapped, make_vector(env_id, 2, **kwargs)):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(env.action_space.sample())
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.render()


def test_a_reset_that_fails_changes_nothing(env_id: str) -> None:
    bad: Any
    env = gym.make(env_id, **quick(env_id)).unwrapped
    for _ in range(2):  # before an episode, and after one
        with pytest.raises(gym.error.Error, match="greater or equal to zero"):
            env.reset(seed=-1)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(env.action_space.sample())
        env.reset(seed=0)
        while not any(env.step(env.action_space.sample())[2:4]):
            pass
    vector = make_vector(env_id, 2)
    for bad, message in (
        (1.5, "expected an int, or a list of 2"),
        ([0], "expected an int, or a list of 2"),
        ([0, 1.5], "integer"),
        ([0, -1], "greater or equal to zero"),
    ):
        vector.reset(seed=np.arange(2))  # type: ignore[arg-type]
        before = vector.unwrapped.get_state()  # type: ignore[attr-defined]
        with pytest.raises((ValueError, gym.error.Error), match=message):
            vector.reset(seed=bad)
        assert_same(before, vector.unwrapped.get_state(), "state")  # type: ignore[attr-defined]
    for bad, message in ((5, "expected a dict"), ({1: 1, "a": 2}, r"unknown reset options \['1', 'a'\]")):
        with pytest.raises(ValueError, match=message):
            vector.reset(options=bad)


def test_step_after_the_end_is_refused(env_id: str) -> None:
    env, oracle = gym.make(env_id, **quick(env_id)).unwrapped, ORACLES[env_id](1)
    observation, _ = env.reset(seed=0)
    ended, start = False, True
    while not ended:
        observation, _, terminated, truncated, info = env.step(oracle.act(observation[None], [start])[0])
        ended, start = terminated or truncated, False
    assert isinstance(info["is_success"], bool)
    with pytest.raises(gym.error.ResetNeeded, match="after the end of an episode: call reset"):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("action", [-1, "n", 1.5, "left", None, [0]], ids=repr)
def test_wrong_actions_are_refused(env_id: str, action: Any) -> None:
    scalar, vector = gym.make(env_id, **quick(env_id)).unwrapped, make_vector(env_id, 2)
    action = scalar.action_space.n if action == "n" else action
    scalar.reset(seed=0)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"action=.*: expected 0"):
        scalar.step(action)
    if action != [0]:
        with pytest.raises(ValueError, match="expected"):
            vector.step([action, 0])
    with pytest.raises(ValueError, match="expected 2 integers"):
        vector.step([0, 0, 0])


def test_wrong_numbers_and_options_are_refused(env_id: str) -> None:
    scalar, vector = gym.make(env_id, **quick(env_id)).unwrapped, make_vector(env_id, 2)
    for env in (scalar, vector):
        with pytest.raises(ValueError, match=r"unknown reset options \['map'\]"):
            env.reset(options={"map": 1})
    with pytest.raises(ValueError, match=r"seed=\[1\]: expected an int, or a list of 2"):
        vector.reset(seed=[1])
    with pytest.raises(ValueError, match="num_envs must be an integer >= 1, got 0"):
        make_vector(env_id, 0)
