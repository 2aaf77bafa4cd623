"""Training under bfloat16 autocast: every memory, with and without a lesson in forgetting."""

import pytest
import torch as th

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO
from expirespan.memory import MEMORIES

LESSON = {"forgetting": Forgetting(0.34), "span_penalty": 0.01}


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
@pytest.mark.parametrize(
    "kwargs", [*({"memory": name} for name in MEMORIES), LESSON], ids=[*MEMORIES, "lesson"]
)
def test_learning_under_autocast(make_agent, agent_class, kwargs):
    """Weights change, stay finite and keep 32 bits; so do actions' probabilities and values."""
    agent = make_agent(agent_class, **kwargs)
    before = th.nn.utils.parameters_to_vector(agent.policy.parameters()).detach().clone()
    with th.autocast("cpu", th.bfloat16):
        agent.learn(72)
    after = th.nn.utils.parameters_to_vector(agent.policy.parameters())
    assert after.dtype == th.float32 and after.isfinite().all() and not th.equal(before, after)
    batch = next(iter(agent._segments.get(agent.batch_size)))
    with th.autocast("cpu", th.bfloat16), th.no_grad():
        ev = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
    assert ev.log_prob.dtype == ev.values.dtype == th.float32


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_ratio_is_one_up_to_bfloat16(make_agent, collect, memory):
    agent = make_agent(memory=memory)
    with th.autocast("cpu", th.bfloat16):
        buffer = collect(agent)
        for batch in buffer.get(agent.batch_size):
            ev = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
            assert (ev.log_prob - batch.old_log_prob).abs().max() < 0.05
