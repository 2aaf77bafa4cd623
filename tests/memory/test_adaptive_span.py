"""AdaptiveSpan: numbers by hand, and what ties it to Expire-Span and to a fixed window."""

from __future__ import annotations

import math

import pytest
import torch
from memory_harness import D, Runner, assert_close, shake, stepped, unrolled
from torch import Tensor

from expirespan.memory import AdaptiveSpan, ExpireSpan, FixedWindow, Rule, TransformerMemory, soft_mask

BOTH = pytest.mark.parametrize("run", [stepped, unrolled])
START = torch.zeros(2, 14, dtype=torch.bool)
START[1, 5] = True


def build(rule: Rule, weights: TransformerMemory | None = None) -> TransformerMemory:
    memory = TransformerMemory(width=D, layers=2, heads=2, rule=rule, positions=4).double()
    if weights is None:
        shake(memory)
    else:
        memory.load_state_dict(weights.state_dict(), strict=False)
    return memory


def set_reaches(memory: TransformerMemory, *reaches: float) -> None:
    """z of every head, as fractions of max_span turned back into b."""
    for rule in memory.rules:
        assert isinstance(rule, AdaptiveSpan)
        fraction = torch.tensor(reaches, dtype=torch.float64) / rule.max_span
        rule.reach_logit.data = torch.logit(fraction)


def attached(max_span: float, ramp: float, heads: int, init_fraction: float = 0.5) -> AdaptiveSpan:
    rule = AdaptiveSpan(max_span, ramp, init_fraction).double()
    rule.attach(width=D, heads=heads)
    rule.double()
    return rule


def test_every_head_has_a_mask_of_its_own() -> None:
    """L = 20, R = 4, b = 0 and -ln 3: reaches of 10 and 5, gone from ages 14 and 9 on."""
    rule = attached(20, 4, heads=2)
    rule.reach_logit.data = torch.tensor([0.0, -math.log(3)], dtype=torch.float64)
    assert_close(rule.reaches(), torch.tensor([10.0, 5.0], dtype=torch.float64))
    age = torch.tensor([0.0, 5, 6, 8, 9, 10, 12, 14], dtype=torch.float64)
    span = rule.spans(torch.zeros(1, 8, D, dtype=torch.float64))
    assert span.tolist() == [[10.0] * 8]
    mask = soft_mask(rule.reach(span) - age, rule.ramp)
    assert_close(mask[0, 0], torch.tensor([1, 1, 1, 1, 1, 1, 0.5, 0]).double())
    assert_close(mask[0, 1], torch.tensor([1, 1, 0.75, 0.25, 0, 0, 0, 0]).double())
    assert rule.expired(span, age[None]).tolist() == [[False] * 7 + [True]]


def test_the_penalty_is_the_mean_reach() -> None:
    """(10 + 5) / 2; its gradient is L s (1 - s) / H = 20 / 4 / 2 and 20 * 3 / 16 / 2."""
    rule = attached(20, 4, heads=2)
    rule.reach_logit.data = torch.tensor([0.0, -math.log(3)], dtype=torch.float64)
    penalty = rule.span_cost(torch.zeros(0), 0, lambda: torch.zeros(0))
    penalty.backward()
    assert_close(penalty.item(), 7.5)
    assert_close(rule.reach_logit.grad, torch.tensor([2.5, 1.875]).double())


def test_reaches_start_at_a_fraction_of_the_longest_in_every_head() -> None:
    memory = TransformerMemory(width=D, layers=2, heads=4, rule=AdaptiveSpan(80, init_fraction=0.25))
    for rule in memory.rules:
        assert isinstance(rule, AdaptiveSpan)
        torch.testing.assert_close(rule.reaches(), torch.full((4,), 20.0))
        assert rule.span_parameters() == [rule.reach_logit]


@BOTH
def test_equal_heads_are_expire_span_with_equal_spans(run: Runner) -> None:
    """L = 8 and every span, or reach, 4: w = 0 and b = 0."""
    adaptive = build(AdaptiveSpan(8, ramp=3))
    set_reaches(adaptive, 4, 4)
    expire = build(ExpireSpan(8, ramp=3, init_fraction=0.5), adaptive)
    x, fresh = torch.randn(2, 14, D, dtype=torch.float64), adaptive.initial_state(2)
    one, other = run(adaptive, x, fresh, START), run(expire, x, fresh, START)
    assert_close(one.y, other.y)
    assert one.births == other.births


@BOTH
@pytest.mark.parametrize("reaches", [(4.0, 4.0), (4.0, 1.0), (0.5, 4.0)])
def test_the_cache_is_trimmed_to_the_longest_reach(run: Runner, reaches: tuple[float, float]) -> None:
    """z = 4 and R = 1: ages below 5 can be read, so before the next step those below 4 + 1 - 1 are left."""
    memory = build(AdaptiveSpan(9, ramp=1))
    set_reaches(memory, *reaches)
    x = torch.randn(2, 14, D, dtype=torch.float64)
    after = run(memory, x, memory.initial_state(2), START)
    assert after.births == [[[10, 11, 12, 13], [5, 6, 7, 8]]] * 2
    assert after.alive[0][0].tolist() == [1, 2, 3, 4, *[5] * 10]


@BOTH
def test_one_head_short_changes_that_head_alone(run: Runner) -> None:
    """With head 1's part of the output matrix at 0, its reach does not matter, and head 0 is a window of 5."""
    memory = build(AdaptiveSpan(9, ramp=1e-9))
    window = build(FixedWindow(5), memory)
    for each in (memory, window):
        for layer in each.layers:
            layer.out.weight.data[:, D // 2 :] = 0
    x, fresh = torch.randn(2, 14, D, dtype=torch.float64), memory.initial_state(2)
    set_reaches(memory, 4.5, 0.5)
    assert_close(run(memory, x, fresh, START).y, run(window, x, fresh, START).y)
    set_reaches(memory, 0.5, 4.5)
    assert not torch.allclose(run(memory, x, fresh, START).y, run(window, x, fresh, START).y)


@BOTH
def test_spans_altered_by_the_state(run: Runner) -> None:
    """A limit shortens the heads that reach farther; an infinite floor lets all read everything."""
    memory, x = build(AdaptiveSpan(9, ramp=2)), torch.randn(2, 14, D, dtype=torch.float64)
    fresh = memory.initial_state(2)

    def outputs(*reaches: float, **altered: float) -> Tensor:
        set_reaches(memory, *reaches)
        state = fresh.with_spans(**{name: torch.full((2,), value) for name, value in altered.items()})
        return run(memory, x, state, START).y

    assert_close(outputs(6, 2, limit=3.0), outputs(3, 2))
    assert_close(outputs(6, 2, limit=1.0), outputs(1, 1))
    whole = build(FixedWindow(math.inf), memory)
    assert_close(outputs(6, 2, floor=math.inf), run(whole, x, fresh, START).y)


def test_a_reach_on_its_ramp_has_gradient_and_grows_when_it_pays() -> None:
    """Per head: nothing but attention moves the reaches, and also in a block with memories from before."""
    memory = build(AdaptiveSpan(8, ramp=6, init_fraction=0.4))
    x = torch.randn(2, 14, D, dtype=torch.float64)
    warm = memory.unroll(x, memory.initial_state(2), START).state.detach()
    logits = [rule.reach_logit for rule in memory.rules]  # type: ignore[union-attr]
    loss = (memory.unroll(x[:, :1], warm, START[:, :1]).y ** 3).sum()
    assert all((grad.abs() > 1e-8).all() for grad in torch.autograd.grad(loss, logits))
