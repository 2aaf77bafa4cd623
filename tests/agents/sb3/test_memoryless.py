"""Policies and rollout buffers of SB3's, as they are: then the agents do what PPO and A2C do."""

import numpy as np
import pytest
import torch as th
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO


class NoAdvantage(RolloutBuffer):
    def compute_returns_and_advantage(self, last_values, dones):
        super().compute_returns_and_advantage(last_values, dones)
        self.advantages[:] = 0


def weights(agent):
    return th.nn.utils.parameters_to_vector(agent.policy.parameters()).detach()


@pytest.mark.filterwarnings("ignore:policy ActorCriticPolicy has no memory")
@pytest.mark.parametrize("action", ["box", "discrete", "multidiscrete", "multibinary"])
@pytest.mark.parametrize("ours, theirs", [(MemoryPPO, PPO), (MemoryA2C, A2C)])
def test_a_policy_without_memory_is_trained_as_sb3_does(make_envs, ours, theirs, action):
    """After one update on a whole rollout, with time limits in it, the weights are SB3's."""
    trained = []
    for algorithm in (ours, theirs):
        settings = {"n_steps": 16, "seed": 0, "device": "cpu"}
        settings |= {"batch_size": 48, "n_epochs": 1} if algorithm in (MemoryPPO, PPO) else {}
        agent = algorithm(ActorCriticPolicy, make_envs("Noise", 3, action=action), **settings)
        before = weights(agent)
        trained.append(weights(agent.learn(48)))
    assert (trained[0] - before).abs().max() > 1e-5
    th.testing.assert_close(*trained, atol=2e-6, rtol=0)


def test_a_policy_without_memory_is_announced(make_envs):
    with pytest.warns(UserWarning, match="policy ActorCriticPolicy has no memory") as record:
        agent = MemoryPPO(ActorCriticPolicy, make_envs("Noise"), n_steps=8, batch_size=6, device="cpu")
    assert len(record) == 1
    agent.learn(48)
    actions, state = agent.predict(np.zeros((3, 3), np.float32))
    assert actions.shape == (3,) and state is None


@pytest.mark.filterwarnings("ignore:policy ActorCriticPolicy has no memory")
def test_a_policy_without_memory_has_nothing_to_forget(make_envs):
    with pytest.raises(
        ValueError, match="needs a memory that learns spans, and 'ActorCriticPolicy' has none"
    ):
        MemoryPPO(ActorCriticPolicy, make_envs("Noise"), n_steps=8, batch_size=8, forgetting=Forgetting(0.5))


@pytest.mark.parametrize(
    "policy, observation, kind",
    [("MlpPolicy", "box", RolloutBuffer), ("MultiInputPolicy", "dict", DictRolloutBuffer)],
)
def test_a_buffer_of_sb3_changes_nothing(make_agent, make_envs, policy, observation, kind):
    trained = []
    for buffer_class in (None, kind):
        env = make_envs("Noise", observation=observation)
        agent = make_agent(policy=policy, env=env, rollout_buffer_class=buffer_class, gamma=0.9)
        trained.append(weights(agent.learn(72)))
    assert type(agent.rollout_buffer) is kind
    th.testing.assert_close(*trained, atol=1e-6, rtol=0)


def test_a_buffer_of_sb3_is_filled_as_sb3_does(make_agent, collect):
    agent = make_agent(rollout_buffer_class=RolloutBuffer)
    buffer, segments = collect(agent), agent._segments
    assert buffer.full
    for name in (
        "observations",
        "actions",
        "rewards",
        "values",
        "log_probs",
        "episode_starts",
        "advantages",
        "returns",
    ):
        np.testing.assert_allclose(getattr(buffer, name), getattr(segments, name), rtol=1e-6, err_msg=name)


def test_a_buffer_has_its_say_about_advantages(make_agent, collect):
    agent = make_agent(rollout_buffer_class=NoAdvantage, normalize_advantage=False)
    collect(agent)
    batch = next(agent._segments.get(12))
    assert (batch.advantages == 0).all() and (batch.returns != 0).all()
    assert agent.policy_loss(batch.old_log_prob, batch, batch.advantages).loss == 0


def test_a_buffer_of_sb3_is_saved_and_loaded(make_agent, tmp_path):
    agent = make_agent(rollout_buffer_class=RolloutBuffer).learn(36)
    agent.save(tmp_path / "agent")
    again = MemoryPPO.load(tmp_path / "agent", env=agent.get_env()).learn(36)
    assert type(again.rollout_buffer) is RolloutBuffer
