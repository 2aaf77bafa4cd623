"""From settings to agents."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from expirespan.agents import StandardizedExtractor
from expirespan.experiments import build
from expirespan.experiments.config import Config, GymEnv
from expirespan.experiments.errors import UserError


def test_observations_are_standardised_by_what_random_actions_show(tiny: Config) -> None:
    config = replace(tiny, standardize=400)
    seen = build.random_observations(config)
    assert seen.shape == (8 * 51, *build.make_envs(config.env, 1).single_observation_space.shape)
    agents = [build.make_agent(config, build.make_training_env(config)) for _ in range(2)]
    first, second = (build.memory_policy(agent).features_extractor for agent in agents)
    assert isinstance(first, StandardizedExtractor) and isinstance(second, StandardizedExtractor)
    torch.testing.assert_close(first.mean, torch.tensor(seen.reshape(len(seen), -1).mean(0)).float())
    assert torch.equal(first.deviation, second.deviation)


def test_what_cannot_be_standardised(tiny: Config) -> None:
    config = replace(tiny, standardize=400, env=GymEnv("FrozenLake-v1"))
    with pytest.raises(UserError, match="reads a Box"):
        build.make_agent(config, build.make_training_env(config))
