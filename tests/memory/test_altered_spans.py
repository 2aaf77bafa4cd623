"""Spans altered for a while by what the state says, and for good by a longer ``max_span``."""

from __future__ import annotations

import math

import pytest
import safetensors.torch
import torch
from memory_harness import D, Runner, assert_close, assert_same, shake, stepped, unrolled
from torch import Tensor

from expirespan.memory import ExpireSpan, TransformerMemory

BOTH = pytest.mark.parametrize("run", [stepped, unrolled])
EVERY = torch.ones(2)
NO_START = torch.zeros(2, 14, dtype=torch.bool)
START = NO_START.clone()
START[1, 5] = True  # an unbroken episode of 14 steps, and one that begins again nine steps before the end


class Constant(ExpireSpan):
    """Every span is ``max_span``, whatever the state."""

    def spans(self, h_BSD: Tensor) -> Tensor:
        return h_BSD.new_full(h_BSD.shape[:-1], self.max_span)


def build(rule: ExpireSpan, layers: int = 2) -> TransformerMemory:
    memory = TransformerMemory(width=D, layers=layers, heads=2, rule=rule).double()
    shake(memory)
    return memory


def stream() -> Tensor:
    return torch.randn(2, 14, D, dtype=torch.float64)


@BOTH
@pytest.mark.parametrize(
    ("floor", "limit", "scale", "span"),
    [
        (None, None, None, 4),
        (6, None, None, 6),
        (2, None, None, 4),
        (None, 3, None, 3),
        (None, 5, None, 4),
        (6, 5, None, 5),
        (3, 2, 0.5, 1),
        (None, None, 0.25, 1),
        (math.inf, 8, 0.5, 4),
    ],
)
def test_spans_are_read_as_scaled_min_max(
    run: Runner, floor: float | None, limit: float | None, scale: float | None, span: float
) -> None:
    """Spans of 4 are read as scale * min(max(4, floor), limit) in environment 0, and as 4 in the other."""
    memory, x = build(Constant(4, ramp=1.5)), stream()
    fresh = memory.initial_state(2)
    altered = fresh.with_spans(
        floor=None if floor is None else torch.tensor([floor, 0.0]),
        limit=None if limit is None else torch.tensor([limit, math.inf]),
        scale=None if scale is None else torch.tensor([scale, 1.0]),
    )
    found, untouched = run(memory, x, altered, START).y, run(memory, x, fresh, START).y
    for rule in memory.rules:
        rule.max_span = span
    assert_close(found[0], run(memory, x, fresh, START).y[0])
    assert_close(found[1], untouched[1])
    assert torch.allclose(found[0], untouched[0]) == (span == 4)


@BOTH
def test_what_a_limit_hides_for_a_while_comes_back(run: Runner) -> None:
    """One layer: its memories are the inputs, so that later it answers as if they had never been hidden."""
    memory = build(ExpireSpan(max_span=200, ramp=1), layers=1)
    x, more = stream(), stream()
    plain = run(memory, x, memory.initial_state(2), START)
    hidden = run(memory, x, memory.initial_state(2).with_spans(limit=0 * EVERY), START)
    assert not torch.allclose(hidden.y, plain.y)
    assert hidden.births == plain.births == [[list(range(14)), list(range(9))]]

    later = run(memory, more, plain.state, NO_START)
    assert_same(run(memory, more, hidden.state.with_spans(), NO_START), later)
    assert not torch.allclose(run(memory, more, hidden.state, NO_START).y[:, 0], later.y[:, 0])


@BOTH
@pytest.mark.parametrize(
    ("alter", "kept"),
    [({"floor": math.inf * EVERY}, 9), ({"floor": 7 * EVERY}, 7), ({}, 3)],
    ids=["infinite floor", "floor", "neutral"],
)
def test_what_lengthens_spans_keeps_memories(run: Runner, alter: dict[str, Tensor], kept: int) -> None:
    """Spans of 3, ramp 1: kept while younger than span + 1. When the change ends, the old ones go."""
    memory, x = build(Constant(3, ramp=1)), stream()
    after = run(memory, x, memory.initial_state(2).with_spans(**alter), START)
    assert [births[1] for births in after.births] == [list(range(9 - kept, 9))] * 2
    ended = run(memory, x[:, :1], after.state.with_spans(), NO_START[:, :1])
    assert [births[1] for births in ended.births] == [[7, 8, 9]] * 2


def test_shorten_hides_alike_in_acting_and_learning_and_deletes_nothing() -> None:
    memory = build(ExpireSpan(max_span=40, ramp=1, random_span=True), layers=1)
    x, fresh = stream(), memory.initial_state(2)
    short = memory.shorten(fresh, torch.Generator().manual_seed(3))
    acted = stepped(memory, x, short, START)
    assert_same(acted, unrolled(memory, x, short, START))
    plain = unrolled(memory, x, fresh, START)
    assert not torch.allclose(acted.y, plain.y)
    assert acted.births == plain.births


def test_shorten_draws_uniformly_per_environment_for_rules_that_ask() -> None:
    """U(0, 20): mean 10; of 4,000 the standard error is 0.09."""
    memory = build(ExpireSpan(max_span=20, random_span=True))
    limit = memory.shorten(memory.initial_state(4000), torch.Generator().manual_seed(0)).spans.limit_B
    assert 0 <= limit.min() < 0.1
    assert 19.9 < limit.max() <= 20
    assert abs(limit.mean().item() - 10) < 0.3
    plain = build(ExpireSpan(max_span=20))
    state = plain.initial_state(2)
    assert plain.shorten(state) is state


def test_raising_max_span_after_training() -> None:
    """Spans grow in proportion and more is kept; acting after ``refresh`` equals learning."""
    memory = build(ExpireSpan(max_span=4, ramp=1, init_fraction=0.5))
    x, fresh = stream(), memory.initial_state(2)
    before = unrolled(memory, x, fresh, START)
    for rule in memory.rules:
        rule.max_span = 400.0
    after = unrolled(memory, x, fresh, START)
    assert_close(after.spans[0], 100 * before.spans[0])
    assert after.births[0] == [list(range(14)), list(range(9))] != before.births[0]
    assert_same(
        stepped(memory, x, memory.refresh(before.state), NO_START),
        unrolled(memory, x, before.state, NO_START),
    )


def test_bytes_follow_what_is_alive() -> None:
    """Spans of 18.5 with a ramp of 1.5 hold 19 or 20 columns and 16 spare, however long the episode."""
    memory = build(Constant(18.5, ramp=1.5))
    state, start = memory.initial_state(2), NO_START[:, 0]
    column = 2 * (3 * D * 8 + 8 + 8)  # two environments; h, k and v in float64; birth and span
    for _ in range(200):
        state = memory.step(stream()[:, 0], state, start).state
        assert state.nbytes <= 2 * (20 + 16) * column
    assert state.nbytes >= 2 * 19 * column
    assert state.without_cache().nbytes < state.nbytes / 2
    forgot = memory.unroll(stream()[:, :1], state, ~NO_START[:, :1]).state
    assert forgot.nbytes == 2 * 2 * (D * 8 + 8 + 8), "one memory in each layer and environment"


@pytest.mark.parametrize("scale", [None, 0.6])
def test_a_lesson_reads_what_acting_reads(scale: float | None) -> None:
    """With spans in all stages of their lives, deleted ones among them, and with spans shortened for a margin."""
    memory, x = build(ExpireSpan(max_span=9, ramp=3, init_fraction=0.3)), stream()
    state = memory.initial_state(2).with_spans(scale=None if scale is None else scale * EVERY)
    taught_state = memory.initial_state(2).with_spans(scale=state.spans.scale_B, taught=True)
    taught = unrolled(memory, x, taught_state, START)
    assert_close(taught.y, unrolled(memory, x, state, START).y)
    assert_close(taught.y, stepped(memory, x, state, START).y)
    assert_close(stepped(memory, x, taught_state, START).y, taught.y)


def test_what_was_deleted_long_ago_has_gradient_in_a_lesson_only() -> None:
    rule = ExpireSpan(max_span=20, ramp=0.5, init_fraction=0.01)
    memory = TransformerMemory(width=D, layers=1, heads=2, rule=rule).double()
    x, fresh, weight = stream(), memory.initial_state(2), memory.layers[0].rule.predictor.weight
    for taught in (False, True):
        out = memory.unroll(x, fresh.with_spans(taught=taught), NO_START)
        grad = torch.autograd.grad(out.y[:, -1].square().sum() * out.y[0, -1, 0], weight)[0]
        assert bool(grad.abs().max() > 1e-6) == taught


def test_readings_tell_what_holds_a_memory() -> None:
    """Environment 0 brings 3 memories, environment 1 none, and each writes 14."""
    memory = build(ExpireSpan(max_span=50))
    state = memory.initial_state(2)
    before = memory.unroll(stream()[:1, :3], state[:1], NO_START[:1, :3]).state
    out = memory.unroll(stream(), type(state).cat([before, state[1:]]), NO_START)
    for layer, trace in zip(out.readings, out.trace.spans, strict=True):
        (reading,) = layer
        assert reading.present_BK.sum(1).tolist() == [17, 14]
        assert reading.states_BKD.shape == (2, 17, D)
        assert torch.equal(reading.span_BK[:, 3:], trace)


def test_altered_states_can_be_saved() -> None:
    """No two of their tensors share memory, which the file format forbids."""
    fresh = build(ExpireSpan(max_span=6)).initial_state(2)
    for state in (fresh, fresh.with_spans(), fresh.with_spans(floor=EVERY), fresh.with_spans(taught=True)):
        tensors = safetensors.torch.load(safetensors.torch.save(state.state_dict()))
        assert {name: value.tolist() for name, value in tensors.items()} == {
            name: value.tolist() for name, value in state.state_dict().items()
        }
