"""How a step of the lesson moves spans."""

import math

import pytest
import torch as th

from expirespan.agents.forgetting.lesson import Lesson
from expirespan.agents.forgetting.span_descent import LARGEST_CHANGE, PULL_BACK, SpanDescent, take_steps
from expirespan.agents.workers import Workers
from expirespan.memory import ExpireSpan
from expirespan.memory.core import Reading
from tests.agents.forgetting.lessons import forgetful_agent


def read(rule, h):
    """What the rule's predictor reads and answers, every column holding a memory."""
    return [Reading(h, rule.spans(h), th.ones(h.shape[:2], dtype=th.bool))]


def descend(descent, readings, grads):
    """One step of a single worker on a single layer."""
    count = sum(reading.present_BK.sum() for reading in readings)
    take_steps([descent], [readings], [grads], [count], True, Workers())


def slope(rule):
    """Of every span in z, at the start."""
    return rule.max_span * rule.init_fraction * (1 - rule.init_fraction)


def test_one_step_of_descent_by_hand():
    """Two kinds of inputs, orthogonal: preconditioned, each moves by its own gradient however rare it is."""
    rule = ExpireSpan(max_span=100, init_fraction=0.5)
    rule.attach(2)
    common, rare = th.tensor([1.0, 0.0]), th.tensor([0.0, 1.0])
    pull = th.tensor([[0.009] * 9 + [-0.001]]) / slope(rule)
    descend(SpanDescent(rule, 0.01), read(rule, th.stack([*[common] * 9, rare])[None]), [pull])
    z = rule.predictor(th.stack([common, rare])).flatten().tolist()
    # the sum of a kind's gradient / its share of the inputs
    assert z == pytest.approx([-0.01 * 0.081 / 0.9, 0.01 * 0.001 / 0.1], rel=0.01, abs=2e-5)


def test_negligible_spans_are_drawn_back_to_the_limit():
    """e / L = 1e-6 is below 1e-5: a price no longer acts; z goes back by eta * PULL_BACK of the way."""
    rule = ExpireSpan(max_span=100, init_fraction=1e-6)
    rule.attach(1)
    before = rule.predictor.bias.item()
    limit = math.log(1e-5 / (1 - 1e-5))
    descend(SpanDescent(rule, 0.25), read(rule, th.zeros(1, 10, 1)), [th.full((1, 10), 0.5 / slope(rule))])
    moved = (rule.predictor.bias.item() - before) / (limit - before)
    assert moved == pytest.approx(0.25 * PULL_BACK, rel=0.01)


@pytest.mark.parametrize("bias", [-200.0, 200.0])
def test_spans_that_round_to_a_bound_stay_finite_and_come_back(make_agent, collect, bias):
    """A sigmoid of -200 is 0, one of 200 is 1: prices and steps are finite, and the first is drawn back."""
    agent, buffer = forgetful_agent(make_agent, collect)
    with th.no_grad():
        for rule in agent.policy.memory.rules:
            rule.predictor.bias.fill_(bias)
    lesson = Lesson(agent.forgetting, agent.policy, agent.n_envs)
    batch = next(iter(buffer.get(agent.batch_size, lesson.teachers)))
    full = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
    for _ in range(3):
        lesson.learn(lesson.gradient(batch, full, 0.1))
    for rule in agent.policy.memory.rules:
        assert rule.predictor.weight.isfinite().all() and rule.predictor.bias.isfinite().all()
        assert (rule.predictor.bias > bias).all() if bias < 0 else (rule.predictor.bias <= bias).all()


def test_a_step_changes_no_input_by_more_than_its_bound():
    rule = ExpireSpan(max_span=100, init_fraction=0.5)
    rule.attach(3)
    h = th.randn(1, 20, 3)
    before = rule.predictor(h)
    descend(SpanDescent(rule, 1.0), read(rule, h), [th.full((1, 20), 1e6)])
    assert (rule.predictor(h) - before).abs().max().item() == pytest.approx(LARGEST_CHANGE, rel=1e-3)
