"""From settings to agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AutoresetMode

from expirespan.agents import StandardizedExtractor
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    Config,
    FixedWindowSettings,
    GRUSettings,
    GymSettings,
    InstructionSettings,
    LessonSettings,
    LSTMSettings,
    TargetSettings,
)
from expirespan.experiments.settings.errors import UserError


def test_observations_are_standardised_by_what_random_actions_show(tiny: Config) -> None:
    config = replace(tiny, standardize=400)
    seen = np.concatenate(list(map(np.copy, world_making.random_observations(config))))
    assert seen.shape == (8 * 51, *world_making.make_envs(config.env, 1).single_observation_space.shape)
    agents = [agent_making.make_agent(config, world_making.make_training_env(config)) for _ in range(2)]
    first, second = (agent_making.memory_policy(agent).features_extractor for agent in agents)
    assert isinstance(first, StandardizedExtractor) and isinstance(second, StandardizedExtractor)
    torch.testing.assert_close(first.mean, torch.tensor(seen.reshape(len(seen), -1).mean(0)).float())
    assert torch.equal(first.deviation, second.deviation)


def test_what_cannot_be_standardised(tiny: Config) -> None:
    config = replace(tiny, standardize=400, env=GymSettings("FrozenLake-v1"))
    with pytest.raises(UserError, match="reads a Box"):
        agent_making.make_agent(config, world_making.make_training_env(config))
    words = replace(tiny, standardize=400, env=InstructionSettings())
    with pytest.raises(UserError, match="shows words"):
        agent_making.make_agent(words, world_making.make_training_env(words))


@pytest.mark.parametrize("memory", [LSTMSettings(), GRUSettings(), FixedWindowSettings()])
@pytest.mark.parametrize(
    ("more", "off"),
    [
        ({}, "--forgetting none"),
        ({"penalty": AdaptivePenaltySettings()}, "--forgetting none --penalty constant"),
        ({"target": TargetSettings(0.9, alive=10)}, "--forgetting none --target.alive None"),
    ],
)
def test_a_lesson_needs_spans(tiny: Config, memory: Any, more: dict[str, Any], off: str) -> None:
    config = replace(tiny, memory=memory, forgetting=LessonSettings(), **more)
    with pytest.raises(UserError, match=f"^memory {memory.name} has no spans .*; add {off}$"):
        agent_making.make_agent(config, world_making.make_training_env(config))


class _Named(gym.Env[Any, Any]):
    """Observations by name; an episode has one step."""

    observation_space = spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "room": spaces.Discrete(4)})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return {"place": np.full(2, 0.5, np.float32), "room": 2}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return {"place": np.zeros(2, np.float32), "room": 1}, 1.0, True, False, {}


@pytest.fixture
def ids() -> Any:
    """Entry points that are no text: a vector one that resets a step late, and a function."""
    gym.register("Here/Late-v0", CartPoleEnv, vector_entry_point=CartPoleVectorEnv)
    gym.register("Here/Named-v0", lambda **given: _Named(**given))
    yield
    for name in ("Here/Late-v0", "Here/Named-v0"):
        del gym.registry[name]


@pytest.mark.parametrize("gym_id", ["CartPole-v1", "Here/Late-v0"])
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_whatever_the_environment_it_restarts_within_the_step(
    ids: None, gym_id: str, render_mode: str | None
) -> None:
    envs = world_making.make_envs(
        GymSettings(gym_id), 2, **({"render_mode": render_mode} if render_mode else {})
    )
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    envs.reset(seed=0)
    ended = np.zeros(2, bool)
    while not ended.any():
        seen, _, ended, _, infos = envs.step(np.ones(2, np.int64))
    assert (np.abs(seen[ended]) <= 0.05).all(), "the next episode's first observation"
    assert (np.abs(infos["final_obs"][ended.argmax()]) > 0.05).any()
    envs.close()


def test_observations_by_name(ids: None, tiny: Config) -> None:
    config = replace(tiny, env=GymSettings("Here/Named-v0"), eval_env=GymSettings("Here/Named-v0"))
    agent = agent_making.make_agent(config, world_making.make_training_env(config))
    agent.learn(128)
    trace = record_episode(agent, config.eval_env, 0)
    assert trace.observation.tolist() == [[0.5, 0.5, 0, 0, 1, 0]] and trace.reward.tolist() == [1]
