"""Masks of actions: how they are read and checked, and what they do to distributions."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib.common.maskable.distributions import make_masked_proba_distribution
from stable_baselines3.common.distributions import make_proba_distribution
from stable_baselines3.common.vec_env import DummyVecEnv

from expirespan.agents.core.masks import checked, masked, parts, source

SPACES = {
    "discrete": spaces.Discrete(5),
    "multi_discrete": spaces.MultiDiscrete([2, 4, 3]),
    "multi_binary": spaces.MultiBinary(3),
}


def drawn(space: spaces.Space[Any], rows: int, generator: np.random.Generator) -> np.ndarray:
    """Masks that allow one choice of each part at least."""
    columns = []
    for size in parts(space):
        part = generator.random((rows, size)) < 0.5
        part[np.arange(rows), generator.integers(size, size=rows)] = True
        columns.append(part)
    return np.concatenate(columns, 1)


@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10_000))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_the_same_distributions_as_sb3_contrib(name: str, seed: int) -> None:
    """For equal logits: log-probabilities and entropy of allowed actions, the mode, and only allowed samples."""
    space, generator = SPACES[name], np.random.default_rng(seed)
    masks = drawn(space, 6, generator)
    th.manual_seed(seed)
    theirs_logits = th.randn(6, sum(parts(space)))
    logits = theirs_logits
    if name == "multi_binary":  # sb3-contrib has two logits for a bit, SB3 their difference
        logits = theirs_logits.view(6, 3, 2).diff(dim=2).squeeze(2)
    ours = masked(make_proba_distribution(space).proba_distribution(logits), th.as_tensor(masks))
    theirs = make_masked_proba_distribution(space).proba_distribution(theirs_logits)
    theirs.apply_masking(masks)
    th.testing.assert_close(ours.mode(), theirs.mode().to(ours.mode().dtype))
    th.testing.assert_close(ours.entropy(), theirs.entropy(), rtol=1e-4, atol=1e-5)
    bounds = np.cumsum([0, *parts(space)])[:-1]
    for _ in range(20):
        actions = ours.sample()
        chosen = actions.view(6, -1).long().numpy() + bounds
        assert np.take_along_axis(masks, chosen, 1).all()
        th.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions), rtol=1e-4, atol=1e-5)


def test_forbidden_actions_get_no_gradient_and_nothing_is_infinite() -> None:
    logits = th.zeros(1, 3, requires_grad=True)
    distribution = masked(
        make_proba_distribution(SPACES["discrete"].__class__(3)).proba_distribution(logits),
        th.tensor([[True, False, True]]),
    )
    value = distribution.log_prob(th.tensor([0])) + distribution.entropy()
    assert value.item() == pytest.approx(-np.log(2) + np.log(2))
    (grad,) = th.autograd.grad(distribution.log_prob(th.tensor([0])).sum(), logits)
    assert grad.tolist() == [[0.5, 0.0, -0.5]]


def test_no_masks_no_change() -> None:
    distribution = make_proba_distribution(SPACES["discrete"]).proba_distribution(th.randn(2, 5))
    before = distribution.distribution
    assert masked(distribution, None).distribution is before


@pytest.mark.parametrize(
    "masks, words",
    [
        (np.ones((2, 4)), r"shape \(2, 4\), expected \(2, 5\)"),
        (np.ones(5), r"shape \(5,\), expected \(2, 5\)"),
        (np.full((2, 5), 0.5), "other than 0 and 1"),
        (np.array([[1] * 5, [0] * 5]), "environment 1 forbids every action; an environment must allow one"),
    ],
)
def test_bad_masks(masks: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(masks, SPACES["discrete"], 2)


def test_a_part_of_an_action_without_a_choice() -> None:
    masks = np.ones((1, 9), dtype=bool)
    masks[0, 2:6] = False
    with pytest.raises(ValueError, match="forbids every action for part 1 of it"):
        checked(masks, SPACES["multi_discrete"], 1)


def test_what_cannot_be_masked() -> None:
    with pytest.raises(ValueError, match="cannot be masked: expected Discrete, MultiDiscrete or MultiBinary"):
        parts(spaces.Box(-1, 1, (2,)))


class Toy(gym.Env):
    """Says its mask in one way or another."""

    observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(3)

    def __init__(self, row: list[int], how: str) -> None:
        self.row, self.info = row, {"action_mask": np.array(row, np.int8)} if how == "info" else {}
        if how == "method":
            self.action_masks = lambda: self.row

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(1, np.float32), self.info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, False, False, self.info


@pytest.mark.parametrize("how", ["method", "info", "none"])
def test_where_masks_come_from(how: str) -> None:
    rows = [[1, 0, 1], [0, 1, 0]]
    env = DummyVecEnv([lambda row=row: Toy(row, how) for row in rows])
    env.reset()
    found = source(env)(env.reset_infos)
    assert found is None if how == "none" else found.tolist() == np.array(rows, bool).tolist()


def test_an_environment_without_a_mask_beside_one_with() -> None:
    """As after a reset that reports nothing: all is allowed there."""
    env = DummyVecEnv([lambda: Toy([1, 0, 0], "info"), lambda: Toy([0, 0, 0], "none")])
    env.reset()
    found = source(env)(env.reset_infos)
    assert found is not None and found.tolist() == [[True, False, False], [True] * 3]
