"""Learning sees what acting saw: before an update every ratio is 1 and every value the one that was acted on.

Episodes are of random length, so that segments begin within them (with memories from before) and contain
starts.
"""

import pytest
import torch as th

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO
from expirespan.memory import MEMORIES


class Compared:
    """Re-reads the rollout before each update and keeps the largest differences."""

    def train(self):
        for batch in self.rollout_buffer.get(self.batch_size):
            with th.no_grad():
                ev = self.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
            ratio = (ev.log_prob - batch.old_log_prob).exp()
            self.worst_ratio = max(self.worst_ratio, (ratio - 1).abs().max().item())
            self.worst_value = max(self.worst_value, (ev.values - batch.old_values).abs().max().item())
            self.seen += ratio.numel()
            self.starts |= batch.episode_starts[:, 1:].any().item()
            self.prefixes |= (~batch.episode_starts[:, 0]).any().item()
        super().train()


class ComparedPPO(Compared, MemoryPPO):
    pass


class ComparedA2C(Compared, MemoryA2C):
    pass


@pytest.fixture
def compare(make_agent, make_envs):
    def run(agent_class, env=None, **kwargs):
        envs = make_envs("Noise", lengths=(1, 20), **(env or {}))
        agent = make_agent(agent_class, env=envs, learning_rate=1e-2, **kwargs)
        agent.worst_ratio, agent.worst_value, agent.seen = 0.0, 0.0, 0
        agent.starts, agent.prefixes = False, False
        before = th.nn.utils.parameters_to_vector(agent.policy.parameters())
        steps = 3 * agent.n_steps * max(3, 30 // agent.n_steps)
        agent.learn(steps)
        assert agent.seen == steps, "every step once per rollout"
        assert agent.prefixes and (agent.starts or agent.n_steps < 3)
        moved = th.nn.utils.parameters_to_vector(agent.policy.parameters()) - before
        assert moved.abs().max() > 1e-2, "memories were written under other weights"
        assert agent.worst_ratio < 1e-5
        assert agent.worst_value < 1e-5
        return agent

    return run


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("n_steps, batch_size", [(12, 36), (12, 12), (12, 4), (12, 5), (12, 30), (7, 3)])
@pytest.mark.filterwarnings("ignore:.*truncated mini-batch")
def test_ppo(compare, memory, n_steps, batch_size):
    agent = compare(ComparedPPO, memory=memory, n_steps=n_steps, batch_size=batch_size)
    assert agent.rollout_buffer.segment_length == min(n_steps, batch_size)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("n_steps", [1, 5])
def test_a2c(compare, memory, n_steps):
    compare(ComparedA2C, memory=memory, n_steps=n_steps)


@pytest.mark.parametrize(
    "options",
    [
        {"memory_kwargs": {"random_span": True}},
        {"memory_kwargs": {"gate": "gru", "layers": 3, "penalty": "ramp"}, "span_penalty": 1e-2},
        {"forgetting": Forgetting(0.34), "span_penalty": 1e-2},
        {"forgetting": Forgetting(0.34), "span_penalty": 1e-2, "memory_kwargs": {"random_span": True}},
        {"env": {"action": "box"}},
        {"env": {"action": "box"}, "use_sde": True},
        {"env": {"action": "box"}, "use_sde": True, "sde_sample_freq": 3},
        {"env": {"action": "multidiscrete"}},
        {"env": {"action": "multibinary"}},
        {"env": {"observation": "image"}, "policy": "CnnPolicy"},
        {"env": {"observation": "dict"}, "policy": "MultiInputPolicy"},
        {"env": {"observation": "discrete"}},
        {"policy_kwargs": {"net_arch": {"pi": [8], "vf": []}, "share_features_extractor": False}},
        {"rollout_buffer_kwargs": {"segment_length": 3}},
    ],
    ids=str,
)
def test_ppo_with(compare, options):
    compare(ComparedPPO, **{"batch_size": 6, **options})


def test_squashed_actions_are_recovered(make_agent, make_envs, collect):
    """tanh loses float32 precision near its ends, so the bound is wider here."""
    env = make_envs("Noise", action="box")
    agent = make_agent(env=env, use_sde=True, policy_kwargs={"squash_output": True})
    agent.learn(36)
    buffer = collect(agent)
    assert (buffer.acts.abs() <= 1).all()
    for batch in buffer.get(12):
        ev = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        assert ev.log_prob.isfinite().all()
        assert (ev.log_prob - batch.old_log_prob).abs().max() < 1e-2
