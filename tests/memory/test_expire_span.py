"""The mathematics of Expire-Span in numbers worked out by hand, and the rule that joins it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from expirespan.memory import ExpireSpan, expiration, is_expired, log_soft_mask, mean_span, soft_mask
from expirespan.memory.rules.rule import FAR

REMAINING = [3.0, 0.5, 0.0, -1.0, -2.0, -4.0, -5.0]
"""With a ramp of 4: in full, in full, in full, 3/4, 1/2, gone, gone."""


def values(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_expiration() -> None:
    """sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4, sigmoid(-ln 4) = 1/5."""
    logits = values(0, math.log(3), -math.log(4))
    torch.testing.assert_close(expiration(logits, 20.0), values(10, 15, 4))
    torch.testing.assert_close(expiration(5 * logits, 20.0, stabilizer=5), values(10, 15, 4))
    assert expiration(values(-1e9, 1e9), 20.0).tolist() == [0, 20]


def test_soft_mask() -> None:
    assert soft_mask(values(*REMAINING), 4.0).tolist() == [1, 1, 1, 0.75, 0.5, 0, 0]


def test_log_soft_mask_and_its_gradient() -> None:
    """Exactly -inf where m = 0, with gradient 0; on the ramp d log m / dr = 1 / (R m), here 1/3 and 1/2."""
    remaining = values(3.0, 0.5, -1.0, -2.0, -4.0, -5.0).requires_grad_()
    found = log_soft_mask(remaining, 4.0)
    assert found.tolist() == [0, 0, math.log(0.75), math.log(0.5), -math.inf, -math.inf]
    found.exp().sum().backward()
    assert remaining.grad is not None
    assert remaining.grad.tolist() == [0, 0, 0.25, 0.25, 0, 0]
    (slope,) = torch.autograd.grad(log_soft_mask(remaining, 4.0)[:4].sum(), remaining)
    torch.testing.assert_close(slope, values(0, 0, 1 / 3, 1 / 2, 0, 0))
    (slope,) = torch.autograd.grad(log_soft_mask(remaining, 4.0).sum(), remaining)
    assert slope.isfinite().all()


def test_is_expired() -> None:
    assert is_expired(values(*REMAINING), 4.0).tolist() == [False] * 5 + [True] * 2


def test_penalty_all_is_the_mean_span_of_the_states_written() -> None:
    """Of three keys the last two are new: (1 + 2 + 3 + 6) / 4. The first was counted in its own block."""
    span = torch.tensor([[9.0, 1, 2], [9, 3, 6]], dtype=torch.float64, requires_grad=True)
    age = torch.tensor([[[1, 0, -1], [2, 1, 0]]]).expand(2, 2, 3)
    penalty = mean_span(span, age, age >= 0, ramp=4.0)
    penalty.backward()
    assert penalty.item() == 3
    assert span.grad is not None
    assert span.grad.tolist() == [[0, 0.25, 0.25], [0, 0.25, 0.25]]


def test_penalty_ramp_counts_memories_on_their_ramp() -> None:
    """Keys written at steps -1, 0, 1, read at 0 and 1; R = 2, spans 1/2, 1/4 and 5.

    Remaining at step 0: -1/2 (on the ramp), 1/4 (not yet), unborn; at step 1: -3/2 (on), -3/4 (on), 5 (not).
    Sum of the spans on the ramp 1/2 + 1/2 + 1/4 = 5/4, over R T = 4 makes 5/16.
    """
    span = torch.tensor([[0.5, 0.25, 5.0]], dtype=torch.float64, requires_grad=True)
    age = torch.tensor([[[1, 0, -1], [2, 1, 0]]])
    penalty = mean_span(span, age, age >= 0, 2.0, "ramp")
    penalty.backward()
    assert penalty.item() == 5 / 16
    assert span.grad is not None
    assert span.grad.tolist() == [[2 / 4, 1 / 4, 0]]

    another_episode = (age >= 0) & torch.tensor([[[True, True, True], [False, True, True]]])
    assert mean_span(span, age, another_episode, 2.0, "ramp").item() == 3 / 16


def test_penalty_ramp_counts_a_whole_life_once() -> None:
    """A memory with e = 2.5 and R = 3 is on its ramp at ages 3, 4 and 5: 3 e / R = e over T = 10 steps."""
    span = torch.full((1, 11), 50.0)
    span[0, 0] = 2.5
    age = torch.arange(10)[:, None] - torch.arange(-1, 10)
    penalty = mean_span(span, age[None], age[None] >= 0, 3.0, "ramp")
    assert penalty.item() * 10 == pytest.approx(2.5)


@given(
    remaining=st.lists(st.floats(-100, 100), min_size=2, max_size=20),
    ramp=st.floats(1e-6, 50),
)
@settings(derandomize=True, deadline=None)
def test_mask_falls_from_one_to_zero(remaining: list[float], ramp: float) -> None:
    """Within [0, 1], never rising with age, the exponential of its log, and 0 for what may be deleted."""
    left = values(*sorted(remaining, reverse=True))
    mask = soft_mask(left, ramp)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert (mask.diff() <= 0).all()
    assert (mask[left >= 0] == 1).all()
    torch.testing.assert_close(log_soft_mask(left, ramp).exp(), mask)
    assert (mask[is_expired(left, ramp)] == 0).all()
    assert (mask[left > -ramp * (1 - 1e-9)] > 0).all()


@pytest.mark.parametrize("fraction", [0.1, 0.9])
@pytest.mark.parametrize("stabilizer", [1.0, 16.0])
def test_spans_start_at_init_fraction_whatever_is_seen(fraction: float, stabilizer: float) -> None:
    rule = ExpireSpan(max_span=200, init_fraction=fraction, stabilizer=stabilizer)
    rule.attach(6)
    rule.double()
    spans = rule.spans(100 * torch.randn(3, 5, 6, dtype=torch.float64))
    torch.testing.assert_close(spans, torch.full((3, 5), 200 * fraction).double())


def test_rule_predicts_from_the_state() -> None:
    """w = (1, -1), b = ln 3, k = 2, L = 8: h = (0, 0) gives logit ln 3; h = (ln 3, 0) gives 2 ln 3."""
    rule = ExpireSpan(max_span=8, stabilizer=2)
    rule.attach(2)
    rule.double()
    with torch.no_grad():
        rule.predictor.weight.copy_(values(1, -1)[None])
        rule.predictor.bias.fill_(math.log(3))
    h = torch.tensor([[[0, 0], [math.log(3), 0], [0, math.log(3)]]], dtype=torch.float64)
    root = math.sqrt(3)
    torch.testing.assert_close(rule.spans(h), values(8 * root / (1 + root), 6, 4)[None])


def test_rule_passes_its_ramp_and_penalty_on() -> None:
    span, age = values(2, 2, 2), values(2, 3, 6)
    rule = ExpireSpan(max_span=8, ramp=4, penalty="ramp")
    assert soft_mask(rule.reach(span[None]) - age, rule.ramp).tolist() == [[[1, 0.75, 0]]]
    assert rule.expired(span[None], age[None]).tolist() == [[False, False, True]]
    block_age = torch.tensor([[[3, FAR, 0]]])
    assert rule.span_cost(values(2, 2, 7)[None], 1, lambda: block_age).item() == 2 / 4
    assert ExpireSpan(max_span=8, ramp=4).span_cost(values(2, 2, 7)[None], 1, lambda: block_age).item() == 7


@given(span=st.floats(0, 1e6), ramp=st.floats(1e-6, 1e3))
@settings(derandomize=True, deadline=None)
def test_a_state_always_reads_itself(span: float, ramp: float) -> None:
    rule = ExpireSpan(max_span=1e6, ramp=ramp)
    assert soft_mask(rule.reach(values(span)[None]), rule.ramp).item() == 1
    assert not rule.expired(values(span)[None], values(0)[None]).item()
