"""Attention with its gradient by hand against PyTorch's softmax and autograd, and scores by age against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from expirespan.memory.attention import attend, near_ages, scores, weights
from expirespan.memory.rule import FAR

B, H, d = 2, 2, 3


def case(M: int, T: int, ages: list[list[int]]) -> tuple[Tensor, ...]:
    """q, k, by_age (their scores with each position), and the ages (B, T, K) of memories from before and of the block.

    ``ages``: of the memories at the block's first step, by row.
    """
    generator = torch.Generator().manual_seed(M + 31 * T)
    S = len(ages[0])
    q, k = (torch.randn(B, H, n, d, dtype=torch.float64, generator=generator) for n in (T, S + T))
    by_age = torch.randn(B, H, T, M, dtype=torch.float64, generator=generator)
    t = torch.arange(T)
    before = torch.tensor(ages, dtype=torch.long).view(B, 1, S) + t[:, None]
    block = (t[:, None] - t).masked_fill(t[:, None] < t, FAR).expand(B, -1, -1)
    return q, k, by_age, torch.cat([before, block], -1)


def by_loop(q: Tensor, k: Tensor, by_age: Tensor, age: Tensor) -> Tensor:
    """Scores one by one, -inf where nothing is seen."""
    score = q @ k.transpose(-1, -2) / math.sqrt(d)
    rows = []
    for row in range(B):
        for t in range(q.shape[2]):
            added = [
                by_age[row, :, t, a] if a < by_age.shape[-1] else torch.zeros(H, dtype=torch.float64)
                for a in age[row, t].tolist()
            ]
            rows.append(torch.stack(added, -1))
    added = torch.stack(rows).view(B, q.shape[2], H, -1).transpose(1, 2)
    return (score + added).masked_fill((age >= FAR)[:, None], -math.inf)


AGES = st.integers(0, 6).flatmap(
    lambda S: st.lists(
        st.lists(st.sampled_from([1, 2, 3, 5, 9, 40, FAR]), min_size=S, max_size=S), min_size=B, max_size=B
    )
)


@given(M=st.integers(1, 9), T=st.integers(1, 12), ages=AGES, heads_differ=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_values_and_gradients_are_those_of_pytorch(
    M: int, T: int, ages: list[list[int]], heads_differ: bool
) -> None:
    q, k, by_age, age = case(M, T, ages)
    S = age.shape[-1] - T
    v = torch.randn_like(k)
    mask = torch.rand(B, H if heads_differ else 1, T, S + T, dtype=torch.float64).log()
    mask = mask.masked_fill((age >= FAR)[:, None], -math.inf)
    inputs = [x.requires_grad_() for x in (q, k, v, by_age, mask)]
    near = near_ages(age, S, M)
    expected_scores = by_loop(q, k, by_age, age)
    seen = expected_scores > -math.inf
    torch.testing.assert_close(scores(q, k, by_age, near, S)[seen], expected_scores[seen])
    expected_weights = torch.softmax(expected_scores + mask, -1)
    torch.testing.assert_close(weights(q, k, by_age, mask, near, S), expected_weights)
    found, expected = attend(q, k, v, by_age, mask, near, S), expected_weights @ v
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    torch.testing.assert_close(
        [g.nan_to_num() for g in torch.autograd.grad((found * direction).sum(), inputs)],
        [g.nan_to_num() for g in torch.autograd.grad((expected * direction).sum(), inputs)],
    )
    torch.testing.assert_close(
        torch.autograd.grad(scores(q, k, by_age, near, S)[seen].square().sum(), (q, k, by_age)),
        torch.autograd.grad(by_loop(q, k, by_age, age)[seen].square().sum(), (q, k, by_age)),
    )


@pytest.mark.parametrize("T", [1, 3, 8])
def test_further_keys_have_no_position(T: int) -> None:
    """Keys after the block, such as summaries, are read by content alone."""
    q, k, by_age, age = case(4, T, [[1, 2], [5, FAR]])
    more = torch.randn(B, H, 3, d, dtype=torch.float64)
    near = near_ages(age, 2, 4)
    found = scores(q, torch.cat([k, more], 2), by_age, near, 2)
    torch.testing.assert_close(found[..., : 2 + T], scores(q, k, by_age, near, 2))
    torch.testing.assert_close(found[..., 2 + T :], q @ more.transpose(-1, -2) / math.sqrt(d))
