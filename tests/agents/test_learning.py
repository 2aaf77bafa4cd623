"""A cue is asked for five steps later: memories that hold it learn the task, one that is too short cannot."""

import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from expirespan.agents import MemoryA2C, MemoryPPO

MEMORY = {
    "expire_span": {"width": 32, "layers": 1, "max_span": 16, "ramp": 4},
    "fixed_window": {"width": 32, "layers": 1, "window": 4},
    "lstm": {"width": 32},
}
PPO = {"n_steps": 24, "batch_size": 192, "n_epochs": 4, "learning_rate": 3e-3, "ent_coef": 0.01}
A2C = {"n_steps": 12, "learning_rate": 3e-3}


def success(make_agent, make_envs, agent_class, memory, steps, **kwargs):
    agent = make_agent(
        agent_class,
        env=make_envs("Recall", 16),
        memory=memory,
        memory_kwargs=MEMORY[memory],
        policy_kwargs={"net_arch": [32]},
        **kwargs,
    )
    agent.learn(steps)
    return evaluate_policy(agent, make_envs("Recall", 16, seed=1000), 200)[0]


@pytest.mark.parametrize(
    "agent_class, memory, steps, kwargs",
    [
        (MemoryPPO, "expire_span", 9_600, PPO),
        pytest.param(MemoryPPO, "lstm", 9_600, PPO, marks=pytest.mark.slow),
        pytest.param(MemoryA2C, "expire_span", 30_000, A2C, marks=pytest.mark.slow),
    ],
)
def test_a_memory_that_holds_the_cue(make_agent, make_envs, agent_class, memory, steps, kwargs):
    assert success(make_agent, make_envs, agent_class, memory, steps, **kwargs) >= 0.98


@pytest.mark.slow
def test_a_window_shorter_than_the_delay_stays_at_chance(make_agent, make_envs):
    """Acting at chance, 200 episodes lie within 0.5 +- 0.11 with three standard deviations."""
    rate = success(make_agent, make_envs, MemoryPPO, "fixed_window", 9_600, **PPO)
    assert rate == pytest.approx(0.5, abs=0.11)
