"""What the heads read: the memory's answer, and beside it what the memory read."""

import pytest
import torch as th

from expirespan.agents import MemoryPPO
from expirespan.agents.core.policies import OUTPUT_SCALE


@pytest.mark.parametrize("memory", ["expire_span", "lstm"])
def test_heads_read_the_sum(make_agent, memory):
    policy = make_agent(memory=memory).policy
    obs, start = th.randn(3, 3), th.ones(3, dtype=th.bool)
    with th.no_grad():
        x = policy._encode(obs)
        answer = policy.memory.step(x, policy.initial_state(3), start).y
        th.testing.assert_close(policy.predict_values(obs), policy.heads(answer + x)[1])


def test_the_encoder_begins_as_sb3s_layers_do(make_envs):
    """Orthogonal columns of length 3, with a bias; the answer begins at 0.01 of its norm's size."""
    policy = MemoryPPO("MlpPolicy", make_envs("Noise"), n_steps=12, batch_size=12, device="cpu").policy
    weight = policy.encoder.weight.detach()
    th.testing.assert_close(weight.T @ weight, 9 * th.eye(3), atol=1e-4, rtol=0)
    assert (policy.encoder.bias != 0).all(), "without it the layers' norms hide how large an observation is"
    assert (policy.memory.norm.weight == OUTPUT_SCALE).all()
