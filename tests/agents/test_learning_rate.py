"""The learning rate follows the schedule, and the span predictors keep their multiple of it."""

import pytest

from expirespan.agents import AdaptivePenalty, Forgetting, MemoryA2C, MemoryPPO


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
def test_predictors_keep_their_share_of_the_scheduled_rate(agent_class):
    agent = agent_class(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=lambda remaining: 1e-3 * remaining,
        n_steps=8,
        device="cpu",
        policy_kwargs={"predictor_lr": 0.2, "memory_kwargs": {"width": 8, "heads": 2}},
        **({"batch_size": 8, "n_epochs": 1} if agent_class is MemoryPPO else {}),
    )
    agent.learn(16, callback=None)
    agent._update_current_progress_remaining(12, 16)
    agent.train()
    rest, predictors = agent.policy.optimizer.param_groups
    assert rest["lr"] == pytest.approx(2.5e-4)
    assert predictors["lr"] == pytest.approx(5e-5)
    expected = {id(p) for n, p in agent.policy.named_parameters() if ".predictor." in n}
    assert {id(p) for p in predictors["params"]} == expected and len(expected) == 4
    assert len(rest["params"]) + len(expected) == len(list(agent.policy.parameters()))
    agent.train()
    assert predictors["lr"] == pytest.approx(5e-5), "the scale applies to the schedule, not to the last rate"


@pytest.mark.parametrize("settled", [0, 1, 50])
def test_the_policy_settles_while_it_succeeds(make_agent, collect, settled):
    """0.9 of the rate for each rollout in which success has held before. The log has the rate in use."""
    penalty = AdaptivePenalty(0.1, target=0.5, settled=settled)
    agent = make_agent(forgetting=Forgetting(0.34, settling=0.9), span_penalty=penalty, learning_rate=1e-3)
    collect(agent)
    agent.train()
    rate = 1e-3 * 0.9**settled
    assert agent.policy.optimizer.param_groups[0]["lr"] == pytest.approx(rate)
    assert agent.logger.name_to_value["train/learning_rate"] == pytest.approx(rate)


def test_without_a_lesson_nothing_settles(make_agent, collect):
    agent = make_agent(span_penalty=AdaptivePenalty(0.1, target=0.5, settled=50), learning_rate=1e-3)
    collect(agent)
    agent.train()
    assert agent.policy.optimizer.param_groups[0]["lr"] == 1e-3
