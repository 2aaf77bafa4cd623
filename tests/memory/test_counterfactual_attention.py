"""Attention with a gradient to what cannot be read, and the mask that lessons read through."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from expirespan.memory.attention import counterfactual_attention
from expirespan.memory.rules.mask import soft_mask, taught_mask


def inputs(seed: int, B: int, H: int, T: int, K: int, gone: float) -> tuple[torch.Tensor, ...]:
    """Scores, a mask with a share ``gone`` of zeros and one key each query can read, and values of width 3."""
    generator = torch.Generator().manual_seed(seed)
    score = 3 * torch.randn(B, H, T, K, generator=generator, dtype=torch.float64)
    mask = torch.rand(B, 1, T, K, generator=generator, dtype=torch.float64)
    mask[torch.rand(mask.shape, generator=generator) < gone] = 0.0
    mask[..., 0] = 1.0
    score[..., 1:][torch.rand(score[..., 1:].shape, generator=generator) < 0.1] = -math.inf
    return score, mask, torch.randn(B, H, K, 3, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 9),
    st.sampled_from([0.0, 0.5, 1.0]),
)  # fmt: skip
def test_it_is_the_quotient_of_the_paper_and_its_gradient_the_way_to_a_full_reading(
    seed: int, B: int, H: int, T: int, K: int, gone: float
) -> None:
    """y, and the gradients of scores and values, against autograd through sum m e^s v / sum m e^s. The gradient of
    each m against y computed anew with that m = 1.
    """
    score, mask, v = inputs(seed, B, H, T, K, gone)
    weight = torch.randn(B, H, T, 3, dtype=torch.float64)

    def direct(s: torch.Tensor, m: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        e = m * s.exp()
        return (e / e.sum(-1, keepdim=True)) @ values

    found: list[tuple[torch.Tensor, ...]] = []
    for attend in (direct, counterfactual_attention):
        s, m, values = (t.clone().requires_grad_() for t in (score, mask, v))
        y = attend(s, m, values)
        found.append((y, *torch.autograd.grad((y * weight).sum(), (s, m, values))))
    (y, d_score, _, d_v), (got_y, got_score, got_mask, got_v) = found
    for expected, got in ((y, got_y), (d_score, got_score), (d_v, got_v)):
        assert torch.allclose(expected, got, rtol=1e-9, atol=1e-9)
    for k in range(K):
        full = mask.clone()
        full[..., k] = 1.0
        change = ((direct(score, full, v) - y) * weight).sum((1, 3))
        m, got_m = mask[:, 0, :, k], got_mask[:, 0, :, k]
        room = torch.where(got_m < 0, 1 - m, m)  # to rise, to fall
        assert torch.allclose(change * room, (1 - m) * got_m, rtol=1e-9, atol=1e-9)
        assert (change * got_m >= 0).all()


def test_what_cannot_be_read_is_worth_something_by_hand() -> None:
    """Two memories of equal score, one gone: y = v_0 = 2, and with the other, v_1 = 5, it would be 3.5."""
    score, mask = torch.zeros(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).requires_grad_()
    v = torch.tensor([[2.0], [5.0]]).view(1, 1, 2, 1)
    y = counterfactual_attention(score, mask, v)
    assert y.item() == 2.0
    (-y).sum().backward()
    assert mask.grad is not None and mask.grad.flatten().tolist() == [0.0, -1.5]


def test_a_memory_that_would_outweigh_all_has_a_finite_gradient() -> None:
    score = torch.tensor([0.0, 300.0]).view(1, 1, 1, 2).requires_grad_()
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).requires_grad_()
    counterfactual_attention(score, mask, torch.randn(1, 1, 2, 4)).sum().backward()
    assert score.grad is not None and mask.grad is not None
    assert score.grad.isfinite().all() and mask.grad.isfinite().all()


def test_taught_mask_is_acting_forward_and_cauchy_backward() -> None:
    """Slope in log e at e = age: 1 / pi; at e = age / 10: 1 / (pi (1 + log(10)^2)); at age 0 none."""
    span = torch.tensor([5.0, 50.0, 5.0, 5.0], dtype=torch.float64, requires_grad=True)
    age = torch.tensor([5.0, 5.0, 50.0, 0.0], dtype=torch.float64)
    mask = taught_mask(span, age, 4.0)
    assert torch.equal(mask, soft_mask(span.detach() - age, 4.0))
    mask.sum().backward()
    assert span.grad is not None
    tail = 1 / (math.pi * (1 + math.log(10) ** 2))
    expected = torch.tensor([1 / math.pi, tail, tail, 0.0], dtype=torch.float64)
    assert torch.allclose(span.grad * span.detach(), expected)
