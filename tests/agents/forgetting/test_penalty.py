"""Schedules of the span penalty, by numbers."""

import pytest

from expirespan.agents import AdaptivePenalty, ConstantPenalty, Forgetting, WarmupPenalty
from expirespan.agents.forgetting.penalty import as_schedule


def test_constant():
    assert [ConstantPenalty(0.3)(steps, None) for steps in (0, 10**9)] == [0.3, 0.3]
    assert as_schedule(1)(0, None) == 1.0
    schedule = WarmupPenalty(1, 0, 1)
    assert as_schedule(schedule) is schedule


@pytest.mark.parametrize("steps, alpha", [(0, 0), (100, 0), (150, 0.1), (200, 0.2), (300, 0.4), (10**6, 0.4)])
def test_warmup(steps, alpha):
    assert WarmupPenalty(0.4, start=100, steps=200)(steps, None) == pytest.approx(alpha)


def test_adaptive():
    schedule = AdaptivePenalty(1.0, target=0.9, growth=2.0, decay=0.5, maximum=5.0)
    scores = [None, 0.5, 0.9, 0.95, 1.0, 1.0, 0.89, None, 0.0, 0.9]
    assert [schedule(0, s) for s in scores] == [0, 0, 1, 2, 4, 5, 2.5, 1.25, 0.625, 1.25]
    assert schedule.current == 1.25


def test_adaptive_counts_how_long_success_has_held():
    """Three back for each rollout in which full memory fails, never below 0; nothing where only forgetting fails."""
    schedule = AdaptivePenalty(1.0, target=0.9)
    counted = []
    for score, full_score in [
        (0.9, None),
        (1.0, 0.9),
        (1.0, 1.0),
        (0.9, 0.9),
        (0.5, 1.0),
        (None, 1.0),
        (1.0, 0.8),
        (1.0, 1.0),
        (0.0, 0.0),
    ]:
        schedule.settle(score, full_score)
        counted.append(schedule.settled)
    assert counted == [1, 2, 3, 4, 4, 4, 1, 2, 0]


def test_the_agent_counts_from_the_first_price_on(make_agent):
    agent = make_agent(span_penalty=AdaptivePenalty(1.0, target=-1e9), forgetting=Forgetting(0.34))
    counted = []
    for _ in range(4):
        agent.learn(36, reset_num_timesteps=False)
        counted.append(agent.span_penalty.settled)
    assert counted == [0, 1, 2, 3]
    agent._full_scores.extend([(9, -1e12)] * agent._full_scores.maxlen)
    agent.train()
    assert agent.span_penalty.settled == 0, "the policy fails with full memory"


def test_the_agent_gives_steps_and_score(make_agent):
    seen = []
    agent = make_agent(span_penalty=lambda steps, score: seen.append((steps, score)) or 0.25)
    agent.learn(72)
    assert [steps for steps, _ in seen] == [36, 72]
    assert seen[1][1] == agent.hard_score()
    assert agent.logger.name_to_value["expire/penalty_coef"] == 0.25
    assert agent.logger.name_to_value["expire/score"] == seen[1][1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantPenalty(-1),
        lambda: WarmupPenalty(-1, 0, 1),
        lambda: WarmupPenalty(1, -1, 1),
        lambda: WarmupPenalty(1, 0, 0),
        lambda: AdaptivePenalty(0, 1),
        lambda: AdaptivePenalty(1, 1, growth=0.9),
        lambda: AdaptivePenalty(1e-4, 1, decay=0),
        lambda: AdaptivePenalty(1e-4, 1, maximum=1e-5),
    ],
)
def test_wrong_arguments(make):
    with pytest.raises(ValueError, match=r"must be .* got"):
        make()


def test_setbacks_leave_a_hundredth_of_the_price():
    penalty = AdaptivePenalty(0.5, target=0.9)
    for score in (1.0, *[0.0] * 100):
        price = penalty(0, score)
    assert price == pytest.approx(0.005)
    for _ in range(48):
        penalty(0, 1.0)
    assert penalty(0, 1.0) == 0.5, "48 rollouts of 1.1"
