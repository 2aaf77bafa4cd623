"""Every action space of SB3's PPO with every observation space: updates, predictions within the space."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor, VecNormalize, is_vecenv_wrapped

from expirespan.agents import MemoryA2C, MemoryPPO, SB3VecEnv

POLICIES = {"box": "MlpPolicy", "image": "CnnPolicy", "dict": "MultiInputPolicy"}
ACTIONS = {
    "box": {},
    "gsde": {"use_sde": True},
    "squashed gsde": {"use_sde": True, "policy_kwargs": {"squash_output": True}},
    "discrete": {},
    "multidiscrete": {},
    "multibinary": {},
}
AGENTS = [MemoryPPO, MemoryA2C]


def few_steps(make_agent, env, agent_class, policy, **kwargs):
    agent = make_agent(agent_class, policy, env, n_steps=4, memory_kwargs={"layers": 1}, **kwargs)
    before = th.nn.utils.parameters_to_vector(agent.policy.parameters())
    agent.learn(16)
    after = th.nn.utils.parameters_to_vector(agent.policy.parameters())
    assert after.isfinite().all() and not th.equal(before, after)
    obs, state = env.reset(), None
    for deterministic in (True, False):
        actions, state = agent.predict(obs, state, np.zeros(2, dtype=bool), deterministic)
        assert len(actions) == 2 and state.batch_size == 2
        assert all(np.asarray(a).astype(agent.action_space.dtype) in agent.action_space for a in actions)
        obs, *_ = env.step(actions)
    return agent


@pytest.mark.parametrize("agent_class", AGENTS)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", POLICIES)
def test_actions_and_observations(make_agent, make_envs, agent_class, action, observation):
    space = "box" if "gsde" in action else action
    env = make_envs("Noise", 2, observation=observation, action=space)
    agent = few_steps(make_agent, env, agent_class, POLICIES[observation], **ACTIONS[action])
    assert agent.policy.squash_output == ("squashed" in action)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("action", ACTIONS)
def test_weights_that_are_not_numbers_are_an_error(make_agent, make_envs, action, deterministic):
    """PyTorch's own checks of distributions are off; an action without a probability is found all the same."""
    env = make_envs("Noise", 2, action="box" if "gsde" in action else action)
    agent = make_agent(env=env, **ACTIONS[action])
    with th.no_grad():
        agent.policy.action_net.weight.fill_(th.nan)
    with pytest.raises((ValueError, RuntimeError), match=r"not finite|nan|p_in"):
        agent.predict(env.reset(), deterministic=deterministic)


@pytest.mark.parametrize("agent_class", AGENTS)
@pytest.mark.parametrize("observation", ["discrete", "multidiscrete", "multibinary"])
def test_discrete_observations(make_agent, make_envs, agent_class, observation):
    few_steps(make_agent, make_envs("Noise", 2, observation=observation), agent_class, "MlpPolicy")


def test_squashed_actions_are_scaled_to_the_bounds(make_agent, make_envs):
    env = make_envs("Noise", 2, action="box")
    agent = make_agent(env=env, use_sde=True, policy_kwargs={"squash_output": True, "log_std_init": 2.0})
    out = agent.policy.to_env(np.array([[-1.0, 1.0], [0.0, 0.5]]))
    np.testing.assert_allclose(out, [[-2, 1], [-0.5, 0.25]])


def test_normalised_and_stacked_observations(make_agent, make_envs):
    env = VecNormalize(VecFrameStack(make_envs("Noise", 2), 3))
    agent = few_steps(make_agent, env, MemoryPPO, "MlpPolicy")
    assert agent.get_vec_normalize_env() is env and agent.observation_space.shape == (9,)


def vector_env():
    return SyncVectorEnv([lambda: gym.make("Toy/Noise-v0")] * 2, autoreset_mode=AutoresetMode.SAME_STEP)


def test_a_gymnasium_vector_env_is_wrapped(make_agent):
    agent = make_agent(env=vector_env(), n_steps=24)
    assert isinstance(agent.env, VecMonitor) and isinstance(agent.env.venv, SB3VecEnv)
    agent.learn(40)
    assert len(agent.ep_info_buffer) > 0, "there are statistics of episodes"


def test_a_gymnasium_vector_env_with_statistics_needs_no_monitor(make_agent):
    agent = make_agent(env=RecordEpisodeStatistics(vector_env()), n_steps=24)
    assert isinstance(agent.env, SB3VecEnv) and not is_vecenv_wrapped(agent.env, VecMonitor)
    agent.learn(40)
    assert len(agent.ep_info_buffer) > 0


def test_an_id_is_enough():
    agent = MemoryPPO("MlpPolicy", "Toy/Noise-v0", n_steps=8, batch_size=8, device="cpu")
    agent.learn(8)
    assert agent.n_envs == 1
