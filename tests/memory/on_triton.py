"""Attention in Triton against PyTorch: on a GPU, or in Triton's interpreter. `test_triton.py` runs this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from expirespan.memory import ExpireSpan, TransformerMemory
from expirespan.memory.attention import Inputs, Sight, attend, in_triton, plain

sys.path.insert(0, str(Path(__file__).parent))
from test_attention import CASES, Case, drawn, with_gradient

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BOUNDS = {"rtol": 1e-4, "atol": 2e-5}
CHOSEN = (
    Case(1, 1, 0, 1, 8, 1, False, 0.5, 0.5, 0, 0),  # one query, which sees only itself
    Case(2, 9, 33, 2, 16, 9, True, 5.0, 6.0, 3, 1),
    Case(2, 40, 33, 1, 33, 4, False, 80.0, 1.0, 3, 2),  # two tiles, three blocks
    Case(1, 33, 4, 2, 128, 4, False, 5.0, 6.0, 0, 3),
)
SMALL = Case(1, 9, 33, 1, 8, 4, False, 5.0, 6.0, 3, 1)


def on_device(given: Inputs) -> Inputs:
    place, begin, youngest, before = given.sight
    sight = Sight(
        place.to(DEVICE), begin.to(DEVICE), None if youngest is None else youngest.to(DEVICE), before
    )
    return Inputs(*(x.to(DEVICE) for x in given[:5]), sight, given.ramp)


def computed(way: object, given: Inputs) -> tuple[Tensor, ...]:
    y, log_total = way.forward(given)  # type: ignore[attr-defined]
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    grads = way.backward(given, y, log_total, direction)  # type: ignore[attr-defined]
    return y, log_total, *grads


def check(case: Case) -> None:
    given_ = on_device(drawn(case, torch.float32))
    torch.testing.assert_close(computed(in_triton, given_), computed(plain, given_), **BOUNDS)


@pytest.mark.parametrize("case", CHOSEN)
def test_chosen_cases(case: Case) -> None:
    check(case)


@pytest.mark.slow
@given(case=CASES)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_random_cases(case: Case) -> None:
    check(case)


def test_it_is_the_same_from_run_to_run() -> None:
    given_ = on_device(drawn(SMALL, torch.float32))
    assert all(map(torch.equal, computed(in_triton, given_), computed(in_triton, given_)))


def test_blocks_that_nobody_can_read_are_not_looked_at() -> None:
    """What they hold is no number; where one of their keys can be read, that shows."""
    size = in_triton.TILE
    given_ = drawn(Case(1, size + 1, 3 * size, 1, 8, 4, False, 0.5, 6.0, 0, 0), torch.float32)
    place = torch.arange(given_.k.shape[1])[None] - 3 * size
    reach = torch.zeros_like(given_.reach)
    reach[..., size] = 1000.0  # in the second block
    sight = Sight(place, torch.full((1, size + 1), -4 * size), None, 3 * size)
    given_ = given_._replace(sight=sight, reach=reach)
    expected = computed(plain, on_device(given_))
    for first, finite in ((0, True), (size, False), (2 * size, False)):
        k, v = given_.k.clone(), given_.v.clone()
        k[:, first], v[:, first] = torch.nan, torch.nan
        found = computed(in_triton, on_device(given_._replace(k=k, v=v)))
        assert all(x.isfinite().all() for x in found) == finite
        if finite:
            torch.testing.assert_close(found, expected, **BOUNDS)


def test_the_end_of_a_ramp_is_read() -> None:
    """A block of keys with half a step of their ramp left at the first query."""
    size = in_triton.TILE
    given_ = drawn(Case(1, 3, size, 1, 8, 4, False, 0.5, 6.0, 0, 0), torch.float32)
    place = torch.arange(size + 3)[None] - size
    reach = given_.reach.clone()
    reach[0, 0, :size] = -place[0, :size] - given_.ramp + 0.5
    sight = Sight(place, torch.full((1, 3), -size), None, size)
    given_ = on_device(given_._replace(sight=sight, reach=reach))
    found, expected = computed(in_triton, given_), computed(plain, given_)
    torch.testing.assert_close(found, expected, **BOUNDS)
    assert (expected[3][:, :size] != 0).all(), "all of them are read"


@pytest.mark.parametrize("scale", [30.0, 1e3])
def test_large_scores_stay_finite(scale: float) -> None:
    given_ = drawn(Case(2, 17, 15, 2, 16, 4, False, 5.0, 6.0, 0, 3), torch.float32)
    given_ = on_device(given_._replace(q=given_.q * scale))
    found = computed(in_triton, given_)
    assert all(x.isfinite().all() for x in found)
    torch.testing.assert_close(found[0], computed(plain, given_)[0], rtol=1e-2, atol=1e-2)


def test_it_is_behind_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = with_gradient(on_device(drawn(SMALL, torch.float32)))
    expected = attend(given_, "plain")
    calls = []
    for name in ("forward", "backward"):
        real = getattr(in_triton, name)
        monkeypatch.setattr(in_triton, name, lambda *a, r=real, n=name: calls.append(n) or r(*a))
    found = attend(given_, "triton")
    torch.testing.assert_close(found, expected, **BOUNDS)
    torch.testing.assert_close(slopes(found, given_), slopes(expected, given_), **BOUNDS)
    assert calls == ["forward", "backward"]
    wide = on_device(drawn(Case(1, 2, 1, 1, 2 * in_triton.WIDEST, 1, False, 5.0, 6.0, 0, 0), torch.float32))
    assert torch.equal(attend(wide, "triton"), attend(wide, "plain"))
    double = on_device(drawn(SMALL))
    assert torch.equal(attend(double, "triton"), attend(double, "plain"))
    assert calls == ["forward", "backward"]


def slopes(y: Tensor, given: Inputs) -> list[Tensor]:
    return list(torch.autograd.grad(y.square().sum(), given[:5]))


def test_a_memory_learns_with_it() -> None:
    """Two blocks, in the second of which an episode begins; steps are plain."""
    found = []
    for attention in ("plain", "triton"):
        torch.manual_seed(0)
        memory = TransformerMemory(16, 1, 2, ExpireSpan(20, ramp=4), attention=attention).to(DEVICE)  # type: ignore[arg-type]
        start = torch.zeros(2, 12, dtype=torch.bool, device=DEVICE)
        x = torch.randn(2, 24, 16).to(DEVICE)
        out = memory.unroll(x[:, :12], memory.initial_state(2), start)
        start[1, 5] = True
        out = memory.unroll(x[:, 12:], out.state, start)
        (out.y.square().mean() + out.penalty.sum()).backward()
        step = memory.step(x[:, 0], out.state.detach(), start[:, 0])
        found.append((out.y, step.y, *(weight.grad for weight in memory.parameters())))
    torch.testing.assert_close(found[1], found[0], **BOUNDS)
