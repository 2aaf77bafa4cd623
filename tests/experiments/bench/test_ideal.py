"""The ideal of `expirespan bench agents`: products by hand."""

import gymnasium as gym
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from torch.utils.flop_counter import FlopCounterMode

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import MemoryPPO, SB3VecEnv
from expirespan.experiments.bench import ideal
from expirespan.memory import ExpireSpan, TransformerMemory
from expirespan.memory.attention import native

N, T, D, FEATURES, ACTIONS = 2, 20, 8, 54, 3
H, M, S = 4, 16, 8  # heads, positions, free slots of an empty memory
STEPS = N * T
HEADS = 2 * 2 * D * D  # two layers for the actor, two for the critic
KERNELS = [
    "plain",
    pytest.param("native", marks=pytest.mark.skipif(not native.available(), reason="no compiler")),
]


def agent(policy=PPO, name="MlpPolicy", **kwargs):
    """Of corridors in which no episode ends within a rollout, with one minibatch per update."""
    corridors = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=N, min_length=90, max_length=90)
    sizes = {"n_steps": T, "batch_size": STEPS, "n_epochs": 1, "device": "cpu", "seed": 0}
    given = {"net_arch": [D, D], **kwargs}
    return policy(name, SB3VecEnv(corridors, info_keys=()), policy_kwargs=given, **sizes)


def memory_agent(**kwargs):
    return agent(MemoryPPO, memory_kwargs={"width": D, "layers": 1, "heads": H, "max_span": 256, **kwargs})


def test_ppo_by_hand():
    """Going back takes two products for each going forward, but one where inputs need no gradient: the observations."""
    first, rest = 2 * FEATURES * D, HEADS - 2 * D * D + D * (ACTIONS + 1)
    acting = STEPS * (first + rest)
    value = N * (FEATURES * D + D * D + D)
    assert ideal.products(agent()) == pytest.approx(acting + value + STEPS * (2 * first + 3 * rest))


@pytest.mark.parametrize("attention", KERNELS)
def test_a_memory_by_hand(attention):
    """Of the first rollout, from empty memories, in which step t reads t of them, however it is done."""
    read = sum(range(1, T + 1))  # by each environment
    joined = D * D + 2 * (2 * D) * D  # what attention read, and a feed-forward block of twice the width
    positions = M * D * D + M * D  # scores by age as part of the projection: weight and bias
    refreshed = N * S * (2 * D * D + D) + positions  # keys, values and spans of the slots
    step = FEATURES * D + D + D * (3 * D + H * (M + 1)) + joined
    acting = STEPS * (step + HEADS + D * (ACTIONS + 1)) + 2 * D * N * read
    value = N * (step + HEADS / 2 + D) + 2 * D * N * (T + 1)
    learned = D + 3 * D * D + M * D + joined + HEADS + D * (ACTIONS + 1)
    learning = STEPS * (2 * FEATURES * D + 3 * learned) + (2 + 5) * D * N * read
    assert ideal.products(memory_agent(attention=attention)) == pytest.approx(
        refreshed + acting + value + learning
    )


def test_the_operator_by_hand():
    """Three steps after two memories that all can still be read: 3 + 4 + 5 of them, of 8 components."""
    memory = TransformerMemory(
        D, layers=1, heads=H, rule=ExpireSpan(max_span=64, init_fraction=0.9), positions=2
    )
    state = memory.initial_state(1)
    for _ in range(2):
        state = memory.step(torch.randn(1, D), state, torch.zeros(1, dtype=torch.bool)).state
    x = torch.randn(1, 3, D, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        memory.unroll(x, state, torch.zeros(1, 3, dtype=torch.bool)).y.sum().backward()
    found = counter.get_flop_counts()["Global"]
    assert found[torch.ops.expirespan.attend] == 2 * 2 * (3 + 4 + 5) * D
    assert found[torch.ops.expirespan.attend_backward] == 2 * 5 * (3 + 4 + 5) * D


def test_short_spans_need_fewer_products():
    """A span of a step and a ramp of 4 let at most 5 memories be read."""
    short = memory_agent(init_fraction=1 / 256, ramp=4)
    long = memory_agent()
    spared = ideal.products(long) - ideal.products(short)
    read = sum(range(1, T + 1)) - sum(min(t, 5) for t in range(1, T + 1))
    assert spared == pytest.approx((2 + 2 + 5) * D * N * read + 2 * D * N * (T + 1 - 5))


def test_speed_at_a_rate():
    """A rollout's products take a second at that many per second."""
    one = agent()
    assert ideal.steps_per_second(one, ideal.products(one)) == pytest.approx(STEPS)


@pytest.mark.parametrize("memory", ["lstm", "gru"])
def test_not_known_of_recurrent_agents(memory):
    assert ideal.steps_per_second(agent(MemoryPPO, memory=memory), 1.0) is None


def test_not_known_of_summaries_and_of_recurrent_ppo():
    assert ideal.steps_per_second(agent(MemoryPPO, memory="compressive"), 1.0) is None
    assert ideal.steps_per_second(agent(RecurrentPPO, "MlpLstmPolicy"), 1.0) is None


def test_the_best_try_counts(monkeypatch):
    """Tries of 2, 0.5 and 4 seconds."""
    clock = iter([0.0, 2.0, 10.0, 10.5, 20.0, 24.0])
    monkeypatch.setattr(ideal.time, "perf_counter", lambda: next(clock))
    assert ideal.products_per_second(8, 3) == 8**3 / 0.5
