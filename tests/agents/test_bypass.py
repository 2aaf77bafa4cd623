"""What the heads read: the memory's answer, and beside it what the memory read."""

import pytest
import torch as th

from expirespan.agents.policies import BYPASSED_SCALE


@pytest.mark.parametrize("memory", ["expire_span", "lstm"])
@pytest.mark.parametrize("bypass", [True, False])
def test_heads_read_the_sum(make_agent, memory, bypass):
    policy = make_agent(memory=memory, policy_kwargs={"bypass": bypass}).policy
    obs, start = th.randn(3, 3), th.ones(3, dtype=th.bool)
    with th.no_grad():
        x = policy._encode(obs)
        answer = policy.memory.step(x, policy.initial_state(3), start).y
        expected = policy.heads(answer + x if bypass else answer)[1]
        th.testing.assert_close(policy.predict_values(obs), expected)


def test_the_encoder_begins_as_sb3s_layers_do(make_agent):
    """Orthogonal columns of length sqrt(2), no bias; the answer begins at 0.07 of its norm's size."""
    policy = make_agent().policy
    weight = policy.encoder.weight.detach()
    th.testing.assert_close(weight.T @ weight, 2 * th.eye(3), atol=1e-5, rtol=0)
    assert (policy.encoder.bias == 0).all() and (policy.memory.norm.weight == BYPASSED_SCALE).all()
    plain = make_agent(policy_kwargs={"bypass": False}).policy
    assert (plain.encoder.bias != 0).all() and (plain.memory.norm.weight == 1).all()
