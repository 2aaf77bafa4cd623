"""Worlds whose observations are stacked: training, resuming, oracle, recording and drawing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expirespan.experiments.episodes.playing import OraclePlayer
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.evaluation.evaluate import score
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.settings import Config, PortalSettings
from expirespan.experiments.training.train import train

WORLD = PortalSettings(rooms=4, room_size=3, max_steps=60, pays="first", frame_stack=2)


def stacked(tiny: Config) -> Config:
    return replace(tiny, env=WORLD, eval_env=WORLD, standardize=64, least_deviation=0.5)


def test_the_environment_is_told_its_own_parameters_only() -> None:
    assert "frame_stack" not in WORLD.parameters
    envs = world_making.make_envs(WORLD, 3)
    assert envs.reset(seed=0)[0].shape == (3, 2, 76)
    assert world_making.make_envs(replace(WORLD, frame_stack=1), 3).reset(seed=0)[0].shape == (3, 76)


def test_the_oracle_sees_the_newest() -> None:
    result = score(OraclePlayer(WORLD, 20), WORLD, 100, 20, seed=0)
    assert result.success == 1.0
    assert abs(result.mean_return - 0.6) < 1e-6


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tiny: Config) -> None:
    config = stacked(tiny)
    whole = train(config)
    half = train(replace(config, total_timesteps=512))
    rest = train(config, half.run)
    mine, theirs = rest.agent.policy.state_dict(), whole.agent.policy.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_the_newest_observation_is_drawn(tiny: Config) -> None:
    config = stacked(tiny)
    agent = agent_making.make_agent(config, world_making.make_training_env(config))
    trace = record_episode(agent, WORLD, seed=3)
    assert trace.observation.shape[1:] == (2, 76)
    one, other = image_of(WORLD), image_of(replace(WORLD, frame_stack=1))
    assert one is not None and other is not None
    np.testing.assert_array_equal(one(trace.observation[0]), other(trace.observation[0][-1]))
