"""Gradient reaches what wrote a memory, and the predictor of its span."""

import pytest
import torch as th

from expirespan.memory import MEMORIES


def read(agent, starts, obs):
    """Values (n, T) of segments that begin with empty memories."""
    actions = th.zeros(*obs.shape[:2], 1)
    return agent.policy.unroll(obs, actions, agent.policy.initial_state(len(obs)), starts).values


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_memory_is_written_with_gradient_within_its_episode_and_segment(make_agent, memory):
    agent = make_agent(memory=memory)
    obs = th.randn(2, 5, 3, requires_grad=True)
    starts = th.zeros(2, 5, dtype=th.bool)
    starts[1, 2] = True
    values = read(agent, starts, obs)
    (gradient,) = th.autograd.grad(values[:, 3].sum(), obs)
    reached = gradient.abs().sum(-1) > 0
    assert reached[0, 1:4].all() and reached[1, 2:4].all()
    assert not reached[:, 4].any(), "the future"
    assert not reached[1, :2].any(), "the episode before"
    writer = agent.policy.encoder.weight
    (own,) = th.autograd.grad(read(agent, starts, obs)[0, 3], writer)
    alone = obs[:1, 3:4].detach()
    (without,) = th.autograd.grad(read(agent, starts[:1, 3:4], alone)[0, 0], writer)
    assert not th.allclose(own, without)


def test_the_predictor_learns_from_memories_of_before_the_segment(make_agent):
    """The query's own state has age 0, where the mask is flat: all gradient comes from the prefix."""
    agent = make_agent(memory_kwargs={"max_span": 8, "init_fraction": 0.5, "ramp": 4, "layers": 1})
    policy = agent.policy
    state = policy.initial_state(1)
    with th.no_grad():
        for _ in range(7):
            state = policy.step(th.randn(1, 3), state, th.zeros(1, dtype=th.bool)).state
    assert state.layers[0].birth_BS.tolist() == [[0, 1, 2, 3, 4, 5, 6]], "spans of 4, three over"
    prefix = state.without_cache()
    not_yet = th.zeros(1, 1, dtype=th.bool)

    def gradients(state, start):
        values = policy.unroll(th.ones(1, 1, 3), th.zeros(1, 1, 1), state, start).values
        return th.autograd.grad(values.sum(), list(policy.memory.rules[0].parameters()))

    weight, bias = gradients(prefix, not_yet)
    assert weight.abs().max() > 1e-6 and bias.abs() > 1e-6
    for forgotten in (gradients(policy.initial_state(1), not_yet), gradients(prefix, ~not_yet)):
        assert all(g.abs().max() == 0 for g in forgotten)


def test_the_prefix_itself_is_no_part_of_the_graph(make_agent, collect):
    agent = make_agent()
    for snapshot in collect(agent).snapshots:
        assert not any(layer.h_BSD.requires_grad or layer.span_BS.requires_grad for layer in snapshot.layers)


def test_the_span_penalty_shortens_spans(make_agent):
    agent = make_agent(span_penalty=0.5, learning_rate=1e-2, batch_size=36)
    agent.learn(36)
    logged = agent.logger.name_to_value
    assert logged["expire/penalty_coef"] == 0.5
    assert logged["expire/penalty"] == pytest.approx(6), "two layers with spans of half of 6"
    parts = logged["train/policy_gradient_loss"] + 0.5 * logged["train/value_loss"] + 0.5 * 6
    assert logged["train/loss"] == pytest.approx(parts, abs=1e-4)
    agent.learn(36 * 5, reset_num_timesteps=False)
    assert agent.logger.name_to_value["expire/penalty"] < 5.5


def test_a_compressive_memory_learns_to_sum_up(make_agent):
    """The reconstruction is part of the loss and is logged; `predictor_lr` finds the reaches of Adaptive-Span."""
    agent = make_agent(memory="compressive")
    before = [rule.convolution.weight.detach().clone() for rule in agent.policy.memory.rules]
    agent.learn(agent.n_steps * 6)
    after = [rule.convolution.weight for rule in agent.policy.memory.rules]
    assert not any(th.equal(*pair) for pair in zip(before, after, strict=True))
    assert agent.logger.name_to_value["train/reconstruction_loss"] > 0

    agent = make_agent(memory="adaptive_span", policy_kwargs={"predictor_lr": 0.5})
    reaches = [rule.reach_logit for rule in agent.policy.memory.rules]
    quick, slow = agent.policy.optimizer.param_groups
    assert all(p is q for p, q in zip(slow["params"], reaches, strict=True))
    assert not any(p is q for p in quick["params"] for q in reaches)
