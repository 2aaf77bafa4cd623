"""The lesson in forgetting: teachers keep everything, their spans learn what matters, nothing else does."""

import math

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.distributions import kl_divergence

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO
from expirespan.agents.forgetting.lesson import Lesson
from tests.agents.forgetting.lessons import LONG, SHORT, forgetful_agent, lessons, predictors


@pytest.mark.parametrize(
    "fraction, n, count", [(0.25, 8, 2), (0.25, 4, 1), (0.1, 4, 1), (0.5, 5, 2), (0.9, 4, 4), (0.6, 5, 3)]
)
def test_teachers_are_the_last_environments(fraction, n, count):
    teachers = Forgetting(fraction).teachers(n, th.device("cpu"))
    assert teachers.tolist() == [False] * (n - count) + [True] * count


def test_teachers_keep_everything_and_are_not_counted(make_agent, make_envs, collect):
    """Episodes of 7 steps. Spans of 1.28 and a ramp of 2: what is 4 steps old is gone, but not for a teacher."""
    agent = make_agent(
        env=make_envs("Clock", 4, length=7),
        memory_kwargs=SHORT,
        n_steps=21,
        batch_size=21,
        forgetting=Forgetting(0.5),
    )
    for _ in range(2):
        buffer = collect(agent)
        spans = agent._rollout_spans
        age = th.arange(21) % 7
        for layer in range(2):
            alive = th.stack([step[layer] for step in spans.alive])
            assert th.equal(alive[:, 2:], (age + 1)[:, None].expand(-1, 2)), "all steps of the episode"
            assert th.equal(alive[:, :2], (age + 1).clamp(max=4)[:, None].expand(-1, 2))
        assert spans.counted.tolist() == [True, True, False, False]
        assert buffer.snapshots[0].spans.floor_B.tolist() == [0, 0, 64, 64]
    assert len(agent._scores) == 2 * 2 * 3, "three episodes a rollout in each of two environments"
    expected = (age + 1).clamp(max=4).float().mean().item()
    assert agent.logger.name_to_value["expire/layer0/alive"] == pytest.approx(expected)
    freed = 1 - (1 + 2 + 3 + 4 * 4) / sum(range(1, 8))
    assert agent.logger.name_to_value["expire/layer0/freed"] == pytest.approx(freed)


def test_there_is_nothing_to_teach_where_spans_do_not_matter(make_agent, collect):
    """With spans of 990 steps acting reads all there is, so the lesson does."""
    agent = make_agent(memory_kwargs=LONG, forgetting=Forgetting(0.34))
    buffer = collect(agent)
    given = list(lessons(agent, buffer, 0.0))
    assert given
    for gradient in given:
        assert abs(gradient.kl) < 1e-9
        assert all(g.abs().max() < 1e-6 for grads in gradient.grads for g in grads)


@pytest.mark.slow
def test_the_divergence_brings_back_what_was_deleted(make_agent, collect):
    """Spans of 1.28 and a ramp of 2: what is 4 steps old is gone, and steps on the spans alone bring it back."""
    agent, buffer = forgetful_agent(make_agent, collect, shortest=1.0)
    lesson = Lesson(agent.forgetting, agent.policy, agent.n_envs)
    batch = next(iter(buffer.get(agent.batch_size, lesson.teachers)))
    full = agent.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
    divergences = []
    for _ in range(600):
        given_ = lesson.gradient(batch, full, 0.0)
        lesson.learn(given_)
        divergences.append(given_.kl)
    assert divergences[0] > 1e-2
    assert divergences[-1] < 0.3 * divergences[0]
    longest = max(
        rule.spans(r.states_BKD).max() for rule, (r,) in zip(lesson.rules, given_.readings, strict=True)
    )
    assert longest > 1.6


def test_the_price_alone_has_a_known_gradient(make_agent, collect):
    agent, buffer = forgetful_agent(make_agent, collect, tolerance=1e9)
    th.manual_seed(0)
    free, *_ = lessons(agent, buffer, 0.0)
    th.manual_seed(0)
    priced, *_ = lessons(agent, buffer, 2.0)
    for without, with_price in zip(free.grads, priced.grads, strict=True):
        difference = sum((b - a).sum().item() for a, b in zip(without, with_price, strict=True))
        assert difference == pytest.approx(2.0 / 1.28, rel=1e-3), "alpha times the slope of mean log e, 1 / e"


def test_the_price_is_judged_by_the_divergence_of_whole_episodes(make_agent, collect):
    """Against the divergence of every step, read as acting reads it; Noise's episodes end and begin in a segment."""
    agent, buffer = forgetful_agent(make_agent, collect, shortest=1.0)
    teachers = Lesson(agent.forgetting, agent.policy, agent.n_envs).teachers
    batch = next(iter(buffer.get(agent.batch_size, teachers)))
    plain = batch.state.with_spans()
    found = []
    for state in (batch.state, plain):
        with th.no_grad():
            found.append(agent.policy.unroll(batch.observations, batch.actions, state, batch.episode_starts))
    full, acted = (out.distribution for out in found)
    pieces = len(batch.episode_starts) + batch.episode_starts[:, 1:].sum()
    assert pieces > len(batch.episode_starts)
    lesson, *_ = lessons(agent, buffer, 0.0)
    assert lesson.kl == pytest.approx((kl_divergence(full, acted).sum() / pieces).item(), rel=1e-4)


def test_memory_costs_less_the_more_is_misread(make_agent, collect):
    """The running mean after one minibatch is a tenth of its divergence; at twice that the price is halved."""
    agent, buffer = forgetful_agent(make_agent, collect)

    def total(alpha, tolerance):
        agent.forgetting = Forgetting(0.34, tolerance=tolerance)
        th.manual_seed(0)
        lesson, *_ = lessons(agent, buffer, alpha)
        return lesson.kl.item(), sum(g.sum().item() for grads in lesson.grads for g in grads)

    kl, free = total(0.0, 1.0)
    full = total(2.0, 1e9)[1] - free
    assert total(2.0, 0.2 * kl)[1] - free == pytest.approx(0.5 * full, rel=1e-3)
    assert total(2.0, 0.0999 * kl)[1] == free


def test_reward_teaches_on_the_teachers_alone_while_memory_has_a_price(make_agent, monkeypatch):
    seen = []
    loss = MemoryPPO._objective
    monkeypatch.setattr(
        MemoryPPO,
        "_objective",
        lambda self, batch, *rest: (seen.append(batch.state.spans.floor_B), loss(self, batch, *rest))[1],
    )
    make_agent(forgetting=Forgetting(0.34), span_penalty=0.0).learn(36)
    everyone = th.cat(seen)
    assert {bool(floor) for floor in everyone} == {True, False}
    batches = len(seen)
    seen.clear()
    make_agent(forgetting=Forgetting(0.34), span_penalty=1e-3).learn(36)
    assert th.cat(seen).min() > 0
    assert len(th.cat(seen)) * 3 == len(everyone), "one of three environments teaches"
    assert len(seen) <= batches


def test_spans_learn_from_the_lesson_alone(make_agent):
    """Without a price there is no lesson, and reward moves everything but the predictors."""
    agent = make_agent(forgetting=Forgetting(0.34), span_penalty=0.0)
    before, weights = predictors(agent), agent.policy.encoder.weight.detach().clone()
    agent.learn(72)
    assert all(th.equal(*pair) for pair in zip(before, predictors(agent), strict=True))
    assert not th.equal(weights, agent.policy.encoder.weight)
    assert "expire/forgetting_kl" not in agent.logger.name_to_value
    agent = make_agent(forgetting=Forgetting(0.34), span_penalty=1.0)
    before = predictors(agent)
    agent.learn(72)
    assert not any(th.equal(*pair) for pair in zip(before, predictors(agent), strict=True))
    assert math.isfinite(agent.logger.name_to_value["expire/forgetting_kl"])
    assert agent.policy.memory.rules[0].predictor.bias < 0, "a price of 1 shortens"


def test_the_lesson_moves_nothing_but_spans(make_agent, make_envs):
    """With a learning rate of 0 all that changes are the predictors."""
    agent = make_agent(forgetting=Forgetting(0.34), span_penalty=1.0, learning_rate=0.0)
    names = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    agent.learn(36)
    changed = {name for name, value in agent.policy.state_dict().items() if not th.equal(value, names[name])}
    assert changed == {name for name in names if ".predictor." in name}


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
@pytest.mark.parametrize("action", ["box", "discrete", "multidiscrete", "multibinary", "gsde"])
def test_every_action_space(make_agent, make_envs, agent_class, action):
    env = make_envs("Noise", action="box" if action == "gsde" else action)
    sde = {"use_sde": True} if action == "gsde" else {}
    agent = make_agent(agent_class, env=env, forgetting=Forgetting(0.34), span_penalty=1e-2, **sde)
    agent.learn(72, log_interval=1)
    assert all(p.isfinite().all() for p in agent.policy.parameters())
    assert agent.logger.name_to_value["expire/forgetting_kl"] >= -1e-6


def test_a_lesson_that_is_not_finite(make_agent, monkeypatch):
    agent = make_agent(forgetting=Forgetting(0.34), span_penalty=1e-2)
    before = predictors(agent)
    gradient = Lesson.gradient
    monkeypatch.setattr(
        Lesson,
        "gradient",
        lambda *args: (given := gradient(*args)) and given._replace(kl=th.tensor(math.nan)),
    )
    with pytest.raises(
        ValueError, match="the divergence in the lesson in forgetting became nan after 36 steps"
    ):
        agent.learn(36)
    assert all(np.array_equal(a, b) for a, b in zip(before, predictors(agent), strict=True))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"fraction": 0},
        {"fraction": 1},
        {"step_size": 0},
        {"shortest": 0},
        {"tolerance": 0},
    ],
)
def test_wrong_settings(kwargs):
    with pytest.raises(ValueError, match=r"must be .* got"):
        Forgetting(**kwargs)
