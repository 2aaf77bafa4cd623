"""The graph of one step answers as the policy does, for every memory and space, before ONNX comes into it."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import VecNormalize

from expirespan.agents import ChoiceExtractor, DeployedPolicy, MemoryChoicePolicy, MemoryPPO
from expirespan.agents.export.capacity import bounds, choose_capacity
from expirespan.agents.export.check import compare, observation_arrays, reference
from expirespan.agents.export.memories import TransformerGraph, memory_graph
from expirespan.memory import ExpireSpan, FixedWindow, Memory, MemoryOutput, make_memory

MEMORIES = ["expire_span", "adaptive_span", "fixed_window", "compressive", "lstm", "gru"]
OBSERVATIONS = [
    "box",
    "double",
    "number",
    "tokens",
    "discrete",
    "multidiscrete",
    "multibinary",
    "image",
    "dict",
]
ACTIONS = ["discrete", "multidiscrete", "multibinary", "box", "double", "integers"]


def equal(found, steps=60):
    assert found.difference < 1e-5
    assert (found.actions, found.alive, found.overflowed, found.steps) == (0, 0, 0, steps)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_memory(make_policy, in_torch, memory, seed):
    deployed = DeployedPolicy(make_policy(memory, seed=seed))
    player = in_torch(deployed, envs=5)
    equal(compare(player, deployed, 60, seed))
    if memory not in ("lstm", "gru"):
        assert (player.state["birth"] > 0).any()
        assert player.about["memory"]["max_span"] == [rule.max_span for rule in deployed.policy.memory.rules]


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_every_observation(make_policy, in_torch, observation):
    deployed = DeployedPolicy(make_policy(observation=observation))
    equal(compare(in_torch(deployed), deployed, 60))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("memory", ["expire_span", "gru"])
def test_every_action(make_policy, in_torch, action, memory):
    deployed = DeployedPolicy(make_policy(memory, action=action))
    player = in_torch(deployed)
    equal(compare(player, deployed, 60))
    assert [name for name in ("probabilities", "mean", "deviation") if name in player.about["outputs"]] == (
        ["mean", "deviation"] if isinstance(deployed.action_space, spaces.Box) else ["probabilities"]
    )


@pytest.mark.parametrize("action", ["discrete", "multidiscrete", "multibinary"])
def test_masks(make_policy, in_torch, action):
    deployed = DeployedPolicy(make_policy(action=action))
    equal(compare(in_torch(deployed, masks=True), deployed, 60))


@pytest.mark.parametrize("squash", [False, True])
def test_state_dependent_noise(make_policy, in_torch, squash):
    deployed = DeployedPolicy(make_policy(action="box", use_sde=True, squash_output=squash))
    equal(compare(in_torch(deployed), deployed, 60))


def test_the_choice_policy(make_policy, in_torch):
    policy = make_policy(
        observation="tokens",
        policy_class=MemoryChoicePolicy,
        features_extractor_class=ChoiceExtractor,
        features_extractor_kwargs={"first": 0, "choices": 2, "words": 2},
    )
    deployed = DeployedPolicy(policy)
    equal(compare(in_torch(deployed), deployed, 60))


def test_the_gate_of_gtrxl_and_one_layer(make_policy, in_torch):
    deployed = DeployedPolicy(make_policy(memory_kwargs={"gate": "gru", "layers": 1, "heads": 4}))
    equal(compare(in_torch(deployed), deployed, 60))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    max_span=st.floats(0.5, 12),
    ramp=st.floats(0.3, 6),
    fraction=st.floats(0.05, 0.95),
    more=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_any_spans_within_the_default_capacity(max_span, ramp, fraction, more, seed):
    """The least capacity that can never be too few is enough, and more changes nothing."""
    th.manual_seed(seed)
    memory = make_memory(
        "expire_span",
        width=8,
        layers=2,
        heads=2,
        positions=3,
        max_span=max_span,
        ramp=ramp,
        init_fraction=fraction,
    )
    with th.no_grad():
        for rule in memory.rules:
            rule.predictor.weight.normal_(std=2)
    graph = TransformerGraph(memory, choose_capacity(memory.rules, None) + more)
    state, after = (
        None,
        {name: th.zeros(2, *part.shape, dtype=part.dtype) for name, part in graph.parts.items()},
    )
    state, start = memory.initial_state(2), th.tensor([True, True])
    for _ in range(40):
        x = th.randn(2, 8)
        out = memory.step(x, state, start)
        with th.no_grad():
            y, after, alive = graph(x, start, after)
        assert th.allclose(out.y, y, atol=1e-5)
        assert th.equal(alive, th.cat(out.trace.alive, 1))
        assert not after["overflowed"].any()
        kept = [(births >= 0).sum(1) for births in out.trace.births]
        assert th.equal((after["birth"] > 0).sum(-1), th.stack(kept, 1))
        state, start = out.state, th.rand(2) < 0.05


def never_forgetting(make_policy, **kwargs):
    """A policy whose memories all live long, in one layer."""
    policy = make_policy(memory_kwargs={"layers": 1, "max_span": 50, "ramp": 2} | kwargs)
    with th.no_grad():
        policy.memory.rules[0].predictor.bias.fill_(20.0)
    return DeployedPolicy(policy)


def test_overflow_is_said_and_stays_until_the_next_episode(make_policy, in_torch):
    """Spans of 50 in 5 slots: the sixth memory of an episode does not fit. Until then nothing differs."""
    deployed = never_forgetting(make_policy)
    player, space = in_torch(deployed, envs=2, capacity=5), deployed.observation_space
    space.seed(0)
    state, overflow, worst = None, [], []
    for t in range(20):
        start = np.array([t == 0, t in (0, 3, 16)])
        observation = np.stack([space.sample(), space.sample()])
        out = player.step(observation_arrays(observation, space, player.about) | {"episode_start": start})
        expected, _, state = reference(deployed, observation, state, start, None)
        overflow.append(out["overflow"].tolist())
        worst.append(np.abs(out["probabilities"] - expected["probabilities"]).max(1))
    assert [first for first, _ in overflow] == [t >= 5 for t in range(20)]
    assert [second for _, second in overflow] == [8 <= t < 16 for t in range(20)]
    assert max(worst[t][0] for t in range(6)) < 1e-5  # what is dropped at step 5 was still read there
    assert max(worst[t][0] for t in range(6, 20)) > 1e-3
    assert max(worst[t][1] for t in (*range(9), 16, 17, 18, 19)) < 1e-5


def test_an_overflow_drops_what_would_be_deleted_soonest(make_policy, in_torch):
    """All spans are alike, so that is the oldest: the slots hold the last three."""
    deployed = never_forgetting(make_policy)
    player, space = in_torch(deployed, envs=1, capacity=3), deployed.observation_space
    for t in range(9):
        player.step(
            observation_arrays(space.sample()[None], space, player.about)
            | {"episode_start": np.array([t == 0])}
        )
    assert sorted(player.state["birth"].flatten()) == [7, 8, 9]
    assert player.state["time"].tolist() == [9]


def test_a_memory_whose_lives_are_fixed_takes_no_less_than_it_keeps():
    """Window 3 keeps 2 states beside the present one, and 2 summaries."""
    memory = make_memory("compressive", width=8, heads=2, layers=1, window=3, slots=2, factor=2)
    assert bounds(memory.rules[0]) == (4, 4)
    with pytest.raises(ValueError, match=r"capacity=3: expected at least 4, .* whatever was seen"):
        memory_graph(memory, 3)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ExpireSpan(8, ramp=4), (3, 11)),
        (ExpireSpan(8, ramp=0.5), (0, 8)),
        (FixedWindow(6), (5, 5)),
        (FixedWindow(1), (0, 0)),
        (FixedWindow(float("inf")), (float("inf"), float("inf"))),
    ],
)
def test_bounds_by_hand(rule, expected):
    """Ramp 4: even a memory of span 0 is kept at the ages 0, 1, 2, for it is read at age 3 with m = 1/4."""
    assert bounds(rule) == expected


@pytest.mark.parametrize(
    ("rules", "capacity", "words"),
    [
        ([ExpireSpan(8, ramp=4)], 2, r"capacity=2: expected at least 3"),
        ([FixedWindow(6)], 4, r"capacity=4: expected at least 5"),
        ([ExpireSpan(8, ramp=4)], 0, r"capacity must be an integer >= 1, got 0"),
        ([ExpireSpan(8, ramp=4)], 2.5, r"capacity must be an integer >= 1, got 2.5"),
        ([ExpireSpan(1e6, ramp=4)], None, r"1,000,003.*choose a capacity"),
        ([FixedWindow(float("inf"))], None, r"without limit.*choose a capacity"),
    ],
)
def test_capacities_that_do_not_suit(rules, capacity, words):
    with pytest.raises(ValueError, match=words):
        choose_capacity(rules, capacity)


def test_capacities():
    assert choose_capacity([ExpireSpan(8, ramp=4), ExpireSpan(6, ramp=4)], None) == 11
    assert choose_capacity([FixedWindow(1)], None) == 1
    assert choose_capacity([FixedWindow(float("inf"))], 7) == 7


class Nothing(Memory):
    """A memory of someone else's."""

    width = 4

    def initial_state(self, batch_size: int) -> MemoryOutput:
        raise NotImplementedError

    step = unroll = initial_state


def test_what_has_no_graph(make_policy):
    with pytest.raises(
        ValueError, match="Nothing has no graph of fixed shapes: expected one of TransformerMemory"
    ):
        memory_graph(Nothing())
    with pytest.raises(ValueError, match="capacity=3: GRUMemory keeps no memories; leave capacity out"):
        memory_graph(make_policy("gru").memory, 3)


def test_normalised_observations(make_envs, make_agent, in_torch):
    """By VecNormalize: the graph and `predict` take observations as the environment gives them."""
    env = VecNormalize(make_envs("Noise", observation="box"), clip_obs=0.7)
    agent = make_agent(MemoryPPO, env=env)
    agent.learn(48)
    deployed = DeployedPolicy.of(agent)
    equal(compare(in_torch(deployed), deployed, 60))
    raw = env.unnormalize_obs(env.reset())
    env.training = False
    action, _ = agent.predict(env.normalize_obs(raw), deterministic=True)
    assert (deployed.predict(raw, deterministic=True)[0] == action).all()
