"""The invariants of every registered memory, in float64, with episodes that begin at different steps.

What relates particular rules, and compares with attention written out in full, is in `test_transformer.py`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from memory_harness import (
    RULE_CASES,
    STARTS,
    B,
    Case,
    Runner,
    T,
    assert_close,
    assert_same,
    build,
    inputs,
    stepped,
    unrolled,
    warm,
)
from torch import Tensor
from torch.nn import functional as F

from expirespan.memory import Memory, Rule, TransformerMemory

# Steps, one unroll and several unrolls agree -----------------------------------------------------


@pytest.mark.parametrize("cuts", [(), (12,), (1, 7, 23)], ids=["one", "two", "uneven"])
def test_steps_equal_unrolls(memory: Memory[Any], cuts: tuple[int, ...]) -> None:
    x, after, state = inputs(), inputs(), warm(memory)
    acted = stepped(memory, x, state, STARTS)
    learned = unrolled(memory, x, state, STARTS, *cuts)
    assert_same(acted, learned)
    # what was kept is equal too, for the next block, either way round, depends on all of it
    none = torch.zeros_like(STARTS)
    assert_same(stepped(memory, after, learned.state, none), unrolled(memory, after, acted.state, none))


def test_attention_of_steps_is_that_of_an_unroll(memory: Memory[Any]) -> None:
    """By the birth of the key, where a key has one of its own; else as a set. Alive is what the births say."""
    x = inputs()
    state, none = memory.initial_state(B), torch.zeros(B, T, dtype=torch.bool)
    whole = memory.unroll(x, state, none, need_attention=True).trace.attention or []
    summaries = any(rule.factor for rule in getattr(memory, "rules", []))
    for t in range(T):
        out = memory.step(x[:, t], state, none[:, t], need_attention=True)
        plain = memory.step(x[:, t], state, none[:, t])
        assert plain.trace.attention is None and plain.trace.keys is None
        assert_close(out.y, plain.y)
        state, found, keys = out.state, out.trace.attention or [], out.trace.keys or []
        assert len(found) == len(keys) == len(whole) == len(out.trace.alive)
        for layer, (weights, births) in enumerate(zip(found, keys, strict=True)):
            expected = whole[layer][:, :, t]
            assert ((births >= 0).sum(1) >= out.trace.alive[layer][:, 0]).all()
            if summaries:
                most = max(weights.shape[-1], expected.shape[-1])
                both = [
                    F.pad(a, (0, most - a.shape[-1])).sort(-1).values for a in (weights[:, :, 0], expected)
                ]
                assert_close(*both)
                continue
            by_birth = torch.zeros_like(expected)
            index = births.clamp(min=0)[:, None].expand(-1, weights.shape[1], -1)
            by_birth.scatter_add_(-1, index, weights[:, :, 0])
            assert_close(by_birth, expected)
            assert ((births >= 0).sum(1) == out.trace.alive[layer][:, 0]).all()


def test_penalty_of_a_block_is_the_mean_over_its_parts(memory: Memory[Any]) -> None:
    x, state = inputs(), warm(memory)
    assert_close(
        unrolled(memory, x, state, STARTS).penalty, unrolled(memory, x, state, STARTS, 5, 12).penalty
    )


def test_gradients_of_chained_unrolls_equal_those_of_one(memory: Memory[Any]) -> None:
    x, state, weight = inputs().requires_grad_(), warm(memory), inputs()

    def gradients(*cuts: int) -> tuple[Tensor, ...]:
        run = unrolled(memory, x, state, STARTS, *cuts)
        loss = (run.y * weight).sum() + run.penalty.sum()
        return torch.autograd.grad(loss, (x, *memory.parameters()), allow_unused=True, materialize_grads=True)

    whole = gradients()
    assert whole[0].abs().sum(-1).all(), "every input is used"
    torch.testing.assert_close(gradients(5, 12), whole, rtol=1e-9, atol=1e-10)


# Deleting what is expired changes nothing ---------------------------------------------------------


class Hoarder(Rule):
    """Reads like another rule, but never lets anything be deleted."""

    def __init__(self, inner: Rule) -> None:
        super().__init__()
        self.inner, self.max_span, self.factor, self.ramp = inner, inner.max_span, inner.factor, inner.ramp
        self.layers_agree = inner.layers_agree
        self.summaries, self.renewed, self.first_age = inner.summaries, inner.renewed, inner.first_age

    def spans(self, h_BSD: Tensor) -> Tensor:
        return self.inner.spans(h_BSD)

    def reach(self, span_BK: Tensor) -> Tensor:
        return self.inner.reach(span_BK)

    def span_cost(self, span_BK: Tensor, steps: int, ages: Callable[[], Tensor]) -> Tensor:
        return self.inner.span_cost(span_BK, steps, ages)

    def expired(self, span_BK: Tensor, age_BK: Tensor) -> Tensor:
        return torch.zeros_like(span_BK - age_BK, dtype=torch.bool)


@pytest.mark.parametrize("case", RULE_CASES, indirect=True)
def test_steps_are_the_same_without_c(memory: TransformerMemory, case: Case) -> None:
    in_pytorch = copy.deepcopy(memory)
    for layer in in_pytorch.layers:
        layer.kernel = "plain"
    x, first = inputs(), memory.initial_state(B)
    one, other = stepped(memory, x, first, STARTS), stepped(in_pytorch, x, first, STARTS)
    assert_close(one.y, other.y)
    assert one.births == other.births
    assert all(map(torch.equal, one.alive, other.alive))


@pytest.mark.parametrize("run", [stepped, unrolled])
@pytest.mark.parametrize("case", RULE_CASES, indirect=True)
def test_deletion_changes_no_output(memory: TransformerMemory, case: Case, run: Runner) -> None:
    hoarder = copy.deepcopy(memory)
    for layer in hoarder.layers:
        layer.rule = Hoarder(layer.rule)  # type: ignore[arg-type]
    x, first = inputs(), memory.initial_state(B)
    lean, full = run(memory, x, first, STARTS), run(hoarder, x, first, STARTS)
    assert_close(lean.y, full.y)
    assert_close(lean.penalty, full.penalty)
    assert all(map(torch.equal, lean.alive, full.alive))
    kept = [
        [sorted(set(births)) for births in layer] for layer in full.births
    ]  # a summary has that of its oldest
    assert kept == [[list(range(t)) for t in full.state.time_B.tolist()]] * len(memory.layers)
    assert lean.births != full.births or case[1].get("window") == math.inf


# Samples are independent --------------------------------------------------------------------------


@pytest.mark.parametrize("run", [stepped, unrolled])
def test_a_sample_alone_gives_the_same(memory: Memory[Any], run: Runner) -> None:
    x, state = inputs(), warm(memory)
    together = run(memory, x, state, STARTS)
    for env in range(B):
        alone = run(memory, x[[env]], state[[env]], STARTS[[env]])
        assert_close(alone.y, together.y[[env]])
        assert alone.births == [[layer[env]] for layer in together.births]


def test_no_gradient_between_samples(memory: Memory[Any]) -> None:
    x = inputs().requires_grad_()
    memory.unroll(x, warm(memory), STARTS).y[1].square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum((1, 2)).bool().tolist() == [False, True, False, False]


# An episode start forgets everything --------------------------------------------------------------


@pytest.mark.parametrize("run", [stepped, unrolled])
def test_episode_start_equals_a_fresh_state(memory: Memory[Any], case: Case, run: Runner) -> None:
    x, state, start = inputs(), warm(memory), STARTS.clone()
    remembered = run(memory, x, state, start)
    start[:, 0] = True
    forgot = run(memory, x, state, start)
    assert_same(forgot, run(memory, x, memory.initial_state(B), start))
    assert_same(forgot, run(memory, x, memory.initial_state(B), STARTS))
    changed = (remembered.y[:, 0] != forgot.y[:, 0]).any(1).tolist()
    assert changed == [True, False, True, True] or case[1].get("window") == 1  # environment 1 forgot in both


@pytest.mark.parametrize("run", [stepped, unrolled])
def test_episode_start_within_a_block(memory: Memory[Any], run: Runner) -> None:
    x = inputs()
    whole = run(memory, x, warm(memory), STARTS)
    for env, step in STARTS.nonzero().tolist():
        rest = run(memory, x[[env], step:], memory.initial_state(1), STARTS[[env], step:])
        assert_close(rest.y, whole.y[[env], step:])


# Gradients ----------------------------------------------------------------------------------------


def test_gradcheck(case: Case) -> None:
    """Of outputs, penalty and next state, with respect to inputs, all weights and what a block handed on."""
    memory = build(case, width=4)
    state = unrolled(memory, inputs(4, 6).requires_grad_(), warm(memory), STARTS[:, :6]).state
    handed_on = [name for name, value in state.state_dict().items() if value.requires_grad]
    kept = {name: value.detach() for name, value in state.state_dict().items()}
    assert handed_on

    def results(x: Tensor, *tensors: Tensor) -> list[Tensor]:
        values = kept | dict(zip(handed_on, tensors[: len(handed_on)], strict=True))
        out = memory.unroll(x, type(state).from_state_dict(values), STARTS[:, 4:8])
        return [v for v in (out.y, out.penalty, *out.state.state_dict().values()) if v.requires_grad]

    points = [inputs(4, 4), *(kept[name].clone() for name in handed_on)]
    for point in points:
        point.requires_grad_()
    assert torch.autograd.gradcheck(results, (*points, *memory.parameters()), fast_mode=True)
