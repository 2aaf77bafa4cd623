"""Spans of which only the long ones grow when max_span is raised: numbers by hand, and step against unroll."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memory_harness import STARTS, D, assert_close, assert_same, inputs, shake, stepped, unrolled, warm

from expirespan.memory import (
    AdaptiveSpan,
    Compressive,
    ExpireSpan,
    FixedWindow,
    Rule,
    TransformerMemory,
    stretched,
)

POSITIVE = st.floats(1e-3, 1e4)


def test_numbers_by_hand() -> None:
    """R = 8, f = 256: e as it is up to 8, e sqrt(f) at 16 = 2 R, e f from 32 = 4 R on."""
    span = torch.tensor([0.0, 1.0, 8.0, 16.0, 32.0, 200.0], dtype=torch.float64, requires_grad=True)
    longer = stretched(span, ramp=8, factor=256)
    assert_close(longer, torch.tensor([0, 1, 8, 16 * 16, 32 * 256, 200 * 256]).double())
    (slope,) = torch.autograd.grad(longer.sum(), span)
    # between, e^(1 + log_4 f) / R^log_4 f: its slope is (1 + log_4 256) times e f' / e = 5 * 16 at 2 R
    assert_close(slope[[0, 1, 3, 5]], torch.tensor([1, 1, 5 * 16, 256]).double())


@given(st.lists(POSITIVE, min_size=2, max_size=9), st.floats(0.01, 100), st.floats(1, 1e5))
def test_order_is_kept_and_nothing_shrinks(spans: list[float], ramp: float, factor: float) -> None:
    span = torch.tensor(sorted(spans), dtype=torch.float64)
    longer = stretched(span, ramp, factor)
    assert (longer >= span * (1 - 1e-12)).all() and (longer <= span * factor * (1 + 1e-12)).all()
    assert all(a <= b * (1 + 1e-12) for a, b in pairwise(longer.tolist()))
    assert torch.equal(stretched(span, ramp, 1.0), span)


@pytest.mark.parametrize(
    "rule", [ExpireSpan(12, 2, 0.4), AdaptiveSpan(12, 2, 0.4)], ids=["expire_span", "adaptive_span"]
)
def test_steps_equal_unrolls_over_stretched_spans(rule: Rule) -> None:
    memory = TransformerMemory(width=D, layers=2, heads=2, rule=rule, positions=3).double()
    shake(memory)
    with torch.no_grad():
        for parameter in (p for one in memory.rules for p in one.span_parameters()):
            parameter.mul_(6)  # spans on both sides of the knee
    x, state = inputs(), warm(memory)
    before = unrolled(memory, x, state, STARTS)
    for one in memory.rules:
        one.raise_max_span(36, "long")
    state = warm(memory)
    acted, learned = stepped(memory, x, state, STARTS), unrolled(memory, x, state, STARTS, 7, 12)
    assert_same(acted, learned)
    assert not torch.allclose(before.y, learned.y)


def test_max_span_is_that_of_the_longest_and_can_be_raised_again() -> None:
    rule = ExpireSpan(max_span=64, ramp=4)
    rule.attach(D)
    with torch.no_grad():
        rule.predictor.bias.fill_(40.0)
        rule.predictor.weight.zero_()
    h = torch.zeros(1, 1, D)
    for longest in (256.0, 64.0, 4096.0):
        rule.raise_max_span(longest, "long")
        assert (rule.max_span, rule.stretch) == (longest, longest / 64)
        assert rule.spans(h).item() == pytest.approx(longest)
        rule.predictor.bias.data.fill_(math.log(3 / 61))
        assert rule.spans(h).item() == pytest.approx(3.0, rel=1e-6), "a span below the ramp stays"
        rule.predictor.bias.data.fill_(40.0)
    plain = ExpireSpan(max_span=64, ramp=4)
    plain.raise_max_span(128)
    assert (plain.max_span, plain.stretch) == (128, 1)


@pytest.mark.parametrize(
    ("rule", "steps", "message"),
    [
        (FixedWindow(8), 64, "FixedWindow learns no spans"),
        (Compressive(window=8, slots=2, factor=2), 64, "Compressive learns no spans"),
        (ExpireSpan(64, ramp=4), 63, "max_span must be at least that of training, 64"),
        (ExpireSpan(64, ramp=4), 2**24, "max_span must be a number of steps from 0 to 2"),
        (ExpireSpan(64, ramp=4), math.nan, "max_span must be"),
        (ExpireSpan(64, ramp=17), 128, "ramp must be at most a quarter of max_span in training, 64"),
    ],
)
def test_mistakes(rule: Rule, steps: float, message: str) -> None:
    rule.attach(D)
    before = rule.max_span
    with pytest.raises(ValueError, match=message):
        rule.raise_max_span(steps, "long")
    assert (rule.max_span, rule.stretch) == (before, 1)
