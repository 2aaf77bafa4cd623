"""Columns that hold no memory count nowhere in the lesson."""

from dataclasses import replace

import torch as th
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from expirespan.agents import Forgetting
from expirespan.agents.forgetting.lesson import Lesson
from expirespan.memory.slots import ABSENT, LayerMemories, Slots, Store
from tests.agents.forgetting.lessons import predictors


def padded(state, n):
    """The same memories with ``n`` columns more that hold none, filled with noise."""
    layers = [
        LayerMemories(
            F.pad(c.birth_BS, (n, 0), value=ABSENT),
            F.pad(c.span_BS, (n, 0), value=3.0),
            th.cat([th.randn(len(c.h_BSD), n, c.h_BSD.shape[2]), c.h_BSD], 1),
        )
        for c in state.layers
    ]
    return replace(state, slots=unpacked(layers))


def unpacked(layers):
    """Slots of these memories as they are, columns without one included."""
    C = max(layer.birth_BS.shape[1] for layer in layers)
    birth, span = (
        th.stack([F.pad(x, (C - x.shape[1], 0), value=fill) for x in parts], 1)
        for parts, fill in (([c.birth_BS for c in layers], ABSENT), ([c.span_BS for c in layers], 3.0))
    )
    store = Store(span, [c.h_BSD for c in layers], [], [], C)
    return Slots(birth, store, C, 0, th.zeros(birth.shape[:2], dtype=th.long))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.integers(1, 120), steps=st.integers(1, 4), alpha=st.sampled_from([0.02, 1.0]))
def test_columns_without_a_memory_count_nowhere(make_agent, collect, columns, steps, alpha):
    """Price, gradient, moment and step on the spans are the same however wide the rows of a batch are."""
    agent = make_agent(
        memory_kwargs={"max_span": 64, "init_fraction": 0.1, "ramp": 4},
        forgetting=Forgetting(0.34, tolerance=1e9),
        batch_size=36,
    )
    with th.no_grad():
        agent.policy.action_net.weight *= 300
    for _ in range(steps):
        buffer = collect(agent)
    found = []
    for extra in (0, columns):
        lesson = Lesson(agent.forgetting, agent.policy, agent.n_envs)
        weights = {k: v.clone() for k, v in agent.policy.state_dict().items()}
        th.manual_seed(1)
        batch = next(iter(buffer.get(agent.batch_size, lesson.teachers)))
        batch = replace(batch, state=padded(batch.state, extra) if extra else batch.state)
        full = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        th.manual_seed(2)
        given_ = lesson.gradient(batch, full, alpha)
        lesson.learn(given_)
        T = batch.actions.shape[1]
        own = [th.cat([g[:, -T:] for g in grads]) for grads in given_.grads]
        step = th.cat([p.flatten() for p in predictors(agent)])
        found.append((th.as_tensor(given_.kl), *own, step, *(d.moment for d in lesson.descents)))
        agent.policy.load_state_dict(weights)
    for expected, got in zip(*found, strict=True):
        assert (expected - got).norm() <= 5e-3 * expected.norm() + 5e-7
