"""Every registered environment: its entry, its card, and what the checkers of others say of it."""

import os
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from expirespan.envs import ENVIRONMENTS, ORACLES, Environment
from tests.envs.conformance.checks import EACH, IDS, make_vector, quick

HEADINGS = [
    "Description",
    "What must be remembered",
    "For how long",
    "Action space",
    "Observation space",
    "Reward",
    "Start",
    "Episode end",
    "Parameters",
    "Optimum",
    "Chance",
    "Memoryless ceiling",
    "Source",
    "Version history",
]

pytestmark = EACH


def test_is_listed_with_an_oracle(env_id: str) -> None:
    borrowed = {"CartPoleNoVel-v1", "PendulumNoVel-v1", "MiniGridMemoryS13-v0"}  # tested in test_borrowed.py
    registered = {name.removeprefix("ExpireSpan/") for name in gym.registry if name.startswith("ExpireSpan/")}
    assert registered - borrowed == {name.removeprefix("ExpireSpan/") for name in IDS}
    assert set(IDS) == set(ORACLES)
    listed: Environment = ENVIRONMENTS[env_id]
    spec = gym.spec(env_id)
    assert (spec.entry_point, spec.vector_entry_point) == (listed.entry_point, listed.vector_entry_point)


def test_gymnasium_checker_has_nothing_to_say(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "dummy")
    env = gym.make(env_id, render_mode="rgb_array", **quick(env_id)).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*system font.*")  # MiniGrid's, about this machine
        check_env(env)


def test_stable_baselines_checker_has_nothing_to_say(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # It takes every box of three axes for an image; what its policies test, `is_image_space`, does not.
        warnings.filterwarnings("ignore", ".*observation space.*is an image.*")
        warnings.filterwarnings("ignore", ".*minimal resolution for an image.*")
        check_env_for_sb3(gym.make(env_id, **quick(env_id)))


@pytest.mark.parametrize("kwargs", ["quick", "default"])
def test_oracle_reaches_the_optimum(env_id: str, kwargs: str) -> None:
    num_envs = 100
    listed, optimum = ENVIRONMENTS[env_id], ENVIRONMENTS[env_id].optimum
    env = make_vector(env_id, num_envs) if kwargs == "quick" else gym.make_vec(env_id, num_envs=num_envs)
    if kwargs == "quick" and listed.quick_optimum is not None:
        optimum = listed.quick_optimum
    oracle = ORACLES[env_id](num_envs)
    observations, _ = env.reset(seed=0)
    returns, starts, playing = np.zeros(num_envs), np.ones(num_envs, bool), np.ones(num_envs, bool)
    while playing.any():
        observations, rewards, terminated, truncated, _ = env.step(oracle.act(observations, starts))
        returns += rewards * playing
        starts = terminated | truncated
        playing &= ~starts
    if kwargs == "quick" or not listed.deviation:
        np.testing.assert_allclose(returns, optimum)
    else:
        assert abs(returns.mean() - optimum) < 4 * listed.deviation / np.sqrt(num_envs)


def test_card_has_every_heading_in_order(env_id: str) -> None:
    card = type(gym.make(env_id).unwrapped).__doc__ or ""
    lines = [
        line[4:] for line in card.splitlines() if line.startswith("    ") and not line.startswith("     ")
    ]
    assert [line for line in lines if line] == HEADINGS
    assert env_id in card


def test_metadata(env_id: str) -> None:
    scalar, vector = gym.make(env_id).unwrapped, gym.make_vec(env_id, num_envs=2)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.metadata is not type(vector.unwrapped).metadata, "wrappers may write into it"
    assert set(vector.metadata["render_modes"]) <= set(scalar.metadata["render_modes"])
    assert {"rgb_array", "ansi"} <= set(vector.metadata["render_modes"])
    assert vector.metadata["render_fps"] == scalar.metadata["render_fps"] > 0


def test_spec_survives_json(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert EnvSpec.from_json(spec.to_json()) == spec
    again = gym.make(EnvSpec.from_json(gym.make(env_id, **quick(env_id)).spec.to_json()))
    assert again.spec is not None and again.spec.kwargs == {**ENVIRONMENTS[env_id].kwargs, **quick(env_id)}
    assert spec.max_episode_steps is None


@pytest.mark.filterwarnings("ignore:.*system font.*")
@pytest.mark.filterwarnings("ignore:.*natively support.*")  # Gymnasium's wrapper makes the window of a text
def test_human_mode_draws_on_the_screen(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "dummy")
    env = gym.make(env_id, render_mode="human", **quick(env_id))
    env.reset(seed=0)
    assert env.render() is None
    env.close()
    env.close()
