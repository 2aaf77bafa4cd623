"""Distributions as numbers: by hand, against PyTorch's own, and where probabilities round to 0."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import kl_divergence, make_proba_distribution
from torch.testing import assert_close

from expirespan.agents import divergence, probabilities
from expirespan.agents.core.masks import masked

SPACES = [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2), spaces.Box(-1, 1, (2,))]


def of(space: spaces.Space[Any], numbers: list[list[float]], deviation: float = 1) -> Any:
    """The distribution of a space from its logits, or its means and their common standard deviation."""
    made = make_proba_distribution(space)
    given = th.tensor(numbers, dtype=th.float64)
    if isinstance(space, spaces.Box):
        log_std = th.full(given.shape[1:], math.log(deviation), dtype=th.float64)
        return made.proba_distribution(given, log_std)  # type: ignore[call-arg]
    return made.proba_distribution(given)


def test_by_hand() -> None:
    log = math.log
    half, most = of(SPACES[0], [[0, 0, -1e8]]), of(SPACES[0], [[log(3), 0, -1e8]])
    assert_close(probabilities(most), th.tensor([[0.75, 0.25, 0]]).double())
    assert_close(divergence(half, most), th.tensor([0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)]).double())
    two = of(SPACES[1], [[0, 0, log(2), 0, 0]])
    assert_close(probabilities(two), th.tensor([[0.5, 0.5, 0.5, 0.25, 0.25]]).double())
    bits = of(SPACES[2], [[0, log(3)]])
    assert_close(probabilities(bits), th.tensor([[0.5, 0.75]]).double())
    apart = of(SPACES[2], [[log(3), log(3)]])
    assert_close(divergence(bits, apart), th.tensor([0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)]).double())
    one, other = of(SPACES[3], [[0, 1]], 2), of(SPACES[3], [[3, 1]], 2)
    assert_close(probabilities(other), th.tensor([[3, 1]]).double())
    assert_close(divergence(one, other), th.tensor([3**2 / (2 * 2**2)]).double())


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_divergence_is_that_of_pytorch(space: Any) -> None:
    th.manual_seed(0)
    size = {spaces.Discrete: 3, spaces.MultiDiscrete: 5}.get(type(space), 2)
    one, other = of(space, th.randn(7, size).tolist()), of(space, th.randn(7, size).tolist())
    expected = kl_divergence(one, other)
    expected = expected.sum(-1) if expected.dim() > 1 else expected
    assert_close(divergence(one, other), expected)
    assert_close(divergence(one, one), th.zeros(7).double())
    assert_close(divergence(of(space, [[0.5] * size]), other)[3:4],
                 divergence(of(space, [[0.5] * size]), of(space, _numbers(other)[3:4])))  # fmt: skip


def _numbers(distribution: Any) -> list[list[float]]:
    own = distribution.distribution
    if isinstance(own, list):
        return th.cat([part.logits for part in own], -1).tolist()
    return (own.logits if hasattr(own, "logits") else own.mean).tolist()


def test_it_is_finite_where_a_probability_rounds_to_nothing() -> None:
    sure, other = of(SPACES[0], [[0, -2000, 0]]), of(SPACES[0], [[-2000, 0, 0]])
    assert_close(divergence(sure, other), th.tensor([0.5 * 2000 - 0.0]).double(), rtol=1e-3, atol=0)
    bits = of(SPACES[2], [[2000, 0]]), of(SPACES[2], [[-2000, 0]])
    assert_close(divergence(*bits), th.tensor([2000.0]).double())
    masks = th.tensor([[True, False, True]])
    pair = [masked(of(SPACES[0], [numbers]), masks) for numbers in ([0.0, 5.0, 0.0], [0.0, 0.0, math.log(3)])]
    assert probabilities(pair[0])[0, 1] == 0
    assert_close(divergence(*pair), th.tensor([0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)]).double())
