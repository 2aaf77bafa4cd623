"""Attention over memories that expire: in PyTorch against loops and autograd, in C against PyTorch."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from expirespan.memory import FixedWindow, TransformerMemory, is_expired, log_soft_mask, soft_mask
from expirespan.memory.attention import (
    Inputs,
    Sight,
    StepInputs,
    attend,
    choose_kernel,
    native,
    plain,
    scores,
    weights,
)
from expirespan.memory.rules.rule import FAR, LONGEST
from expirespan.memory.slots import ABSENT


class Case(NamedTuple):
    """Sizes, the span of the reaches drawn, and whether keys after the block are summaries, which have a least age."""

    B: int
    T: int
    S: int
    H: int
    d: int
    M: int
    heads_differ: bool
    reach: float
    ramp: float
    summaries: int
    seed: int


CASES = st.builds(
    Case,
    B=st.integers(1, 3),
    T=st.sampled_from([1, 2, 5, 9, 17, 40]),
    S=st.sampled_from([0, 1, 4, 15, 33]),
    H=st.integers(1, 3),
    d=st.sampled_from([1, 3, 8, 16, 20, 33]),
    M=st.integers(1, 9),
    heads_differ=st.booleans(),
    reach=st.sampled_from([0.5, 5.0, 80.0]),
    ramp=st.sampled_from([0.5, 1.0, 6.0]),
    summaries=st.sampled_from([0, 0, 3]),
    seed=st.integers(0, 999),
)


def drawn(case: Case, dtype: torch.dtype = torch.float64) -> Inputs:
    """Memories of random places, some absent, and a block in which episodes begin; one reach is the longest."""
    B, T, S, H, d, M, heads_differ, longest, ramp, G, seed = case
    torch.manual_seed(seed)
    K = S + T + G
    q, kv = torch.randn(B, T, H, d, dtype=dtype), torch.randn(B, K, 2, H, d, dtype=dtype)
    near = torch.randn(H, B * T, M, dtype=dtype).transpose(0, 1).unflatten(0, (B, T))
    reach = torch.rand(B, H if heads_differ else 1, K, dtype=dtype) * longest
    reach[0, 0, 0] = LONGEST
    before = -1 - torch.stack([torch.randperm(S + 30)[:S] for _ in range(B)])
    before[torch.rand(B, S) < 0.2] = -FAR
    place = torch.cat([before, torch.arange(T).expand(B, -1), torch.randint(-20, T, (B, G))], 1)
    start = torch.rand(B, T) < 0.1
    begin = torch.where(start, torch.arange(T), -(S + 31)).cummax(1).values
    youngest = torch.cat([torch.zeros(B, S + T), torch.full((B, G), 4)], 1).long() if G else None
    return Inputs(q, kv[:, :, 0], kv[:, :, 1], near, reach, Sight(place, begin, youngest, S), ramp)


def by_loop(given: Inputs) -> tuple[Tensor, Tensor]:
    """s and the ages, one query and key at a time: `FAR` where a key is hidden."""
    q, k, _, near, _, sight, _ = given
    score = torch.einsum("bthd,bkhd->bhtk", q, k) / math.sqrt(q.shape[-1])
    ages, added = [], []
    for b, begins in enumerate(sight.begin_BT.tolist()):
        for t, begin in enumerate(begins):
            for i, place in enumerate(sight.place_BK[b].tolist()):
                least = 0 if sight.youngest_BK is None else int(sight.youngest_BK[b, i])
                age = t - place if place >= begin and t - place >= least else FAR
                ages.append(age)
                has_position = age < near.shape[-1] and least == 0
                added.append(near[b, t, :, age] if has_position else torch.zeros_like(near[b, t, :, 0]))
    shape = (len(q), q.shape[1], k.shape[1])
    by_age = torch.stack(added).view(*shape, -1).permute(0, 3, 1, 2)
    return score + by_age, torch.tensor(ages, dtype=q.dtype).view(shape)


def expected_weights(given: Inputs) -> Tensor:
    score, age = by_loop(given)
    log_mask = log_soft_mask(given.reach[:, :, None] - age[:, None], given.ramp)
    return torch.softmax(score + log_mask.masked_fill(age[:, None] == FAR, -math.inf), -1)


def gradients(y: Tensor, given: Inputs) -> list[Tensor]:
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return [g.nan_to_num() for g in torch.autograd.grad((y * direction).sum(), given[:5])]


def with_gradient(given: Inputs) -> Inputs:
    return Inputs(*(x.detach().requires_grad_() for x in given[:5]), *given[5:])


@given(case=CASES)
@settings(derandomize=True, deadline=None, max_examples=80)
def test_values_and_gradients_are_those_of_a_loop(case: Case) -> None:
    given_ = with_gradient(drawn(case))
    expected = torch.einsum("bhtk,bkhd->bthd", expected_weights(given_), given_.v)
    expected_gradients = gradients(expected, given_)
    for kernel in WAYS:
        found = attend(given_, kernel)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(found, given_), expected_gradients)
    torch.testing.assert_close(weights(given_), expected_weights(given_))


@given(case=CASES)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_scores_before_any_mask(case: Case) -> None:
    given_ = with_gradient(drawn(case))
    (found, ages), (expected, expected_ages) = scores(given_), by_loop(given_)
    assert torch.equal(ages, expected_ages)
    seen = (ages < FAR)[:, None].expand_as(found)
    torch.testing.assert_close(found[seen], expected[seen])
    near = given_[0], given_[1], given_[3]
    torch.testing.assert_close(
        torch.autograd.grad(found[seen].square().sum(), near),
        torch.autograd.grad(expected[seen].square().sum(), near),
    )


def test_a_few_rows_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = with_gradient(drawn(Case(3, 9, 15, 2, 8, 4, False, 5.0, 6.0, 3, 0)))
    whole = attend(given_, "plain")
    expected = gradients(whole, given_)
    monkeypatch.setattr(plain, "IN_CACHE", 1)
    found = attend(given_, "plain")
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(gradients(found, given_), expected)


# In C ---------------------------------------------------------------------------------------------

built = pytest.mark.skipif(not native.available(), reason="the package was installed without a C compiler")
WAYS = ("native", "plain") if native.available() else ("plain",)


def in_c(given: Inputs, kind: int) -> tuple[Tensor, ...]:
    y, log_total = native.forward(given, kind)
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return y, log_total, *native.backward(given, y, log_total, direction, kind)


@built
@given(case=CASES, double=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_all_kinds_of_processor_compute_the_same(case: Case, double: bool) -> None:
    given_ = drawn(case, torch.float64 if double else torch.float32)
    y, log_total = plain.forward(given_)
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    expected = (y, log_total, *plain.backward(given_, y, log_total, direction))
    bounds: dict[str, Any] = {} if double else {"rtol": 1e-4, "atol": 2e-5}
    for kind in range(native.kind() + 1):
        torch.testing.assert_close(in_c(given_, kind), expected, **bounds)


@built
def test_it_does_not_depend_on_the_number_of_threads() -> None:
    given_ = drawn(Case(3, 40, 33, 3, 16, 9, False, 80.0, 6.0, 3, 0), torch.float32)
    threads = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            found.append(in_c(given_, native.kind()))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@built
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_computes_it_too() -> None:
    """As worker processes of environments are made; threads do not survive a fork."""
    given_ = drawn(Case(3, 40, 33, 3, 16, 9, False, 80.0, 6.0, 0, 0), torch.float32)
    expected = in_c(given_, native.kind())
    child = os.fork()
    if child == 0:
        found = in_c(given_, native.kind())
        os._exit(0 if all(map(torch.equal, found, expected)) else 1)
    assert os.waitpid(child, 0)[1] == 0


@built
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_large_scores_stay_finite(scale: float) -> None:
    given_ = drawn(Case(2, 17, 15, 2, 16, 4, False, 5.0, 6.0, 0, 3), torch.float32)
    given_ = given_._replace(q=given_.q * scale)
    y, _ = plain.forward(given_)
    for kind in range(native.kind() + 1):
        found = in_c(given_, kind)
        assert all(x.isfinite().all() for x in found)
        torch.testing.assert_close(found[0], y, rtol=1e-3, atol=1e-3)


@built
@given(
    sizes=st.tuples(
        st.integers(1, 3), st.integers(1, 3), st.integers(1, 40), st.sampled_from([1, 3, 8, 16, 20, 33])
    ),
    heads_differ=st.booleans(),
    double=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_a_step_in_c(sizes: tuple[int, int, int, int], heads_differ: bool, double: bool, seed: int) -> None:
    """All that a step does to a store of which some slots hold nothing, beside the formulas."""
    B, H, C, d = sizes
    torch.manual_seed(seed)
    dtype, M, slot, ramp = torch.float64 if double else torch.float32, 4, seed % C, 1.5 + seed % 3
    p, x = (
        torch.randn(B, 3 * H * d + H * (M + 1) + 2, dtype=dtype)[:, :-2],
        torch.randn(B, H * d, dtype=dtype),
    )
    store = [torch.randn(B, *shape, dtype=dtype) for shape in ((C, H * d), (H, d, C), (H, C, d))]
    time, forget = torch.randint(C, 2 * C, (B, 2))[:, 0], (torch.rand(B, 2) < 0.2)[:, 0]
    birth = torch.randint(-C, 2 * C, (B, 2, C))[:, 1].clamp(min=ABSENT).minimum(time[:, None])
    read, keep = torch.rand(2, B, H if heads_differ else 1, C, dtype=dtype) * 20
    keep = torch.maximum(read, keep)
    given_ = StepInputs(p, x, *store, slot, birth, time, forget, read, keep, ramp, M)

    h, k, v = (t.clone() for t in store)
    q, key, value, by_age = (part.view(B, H, -1) for part in p.split([H * d] * 3 + [H * (M + 1)], -1))
    h[:, slot], k[..., slot], v[:, :, slot] = x, key, value
    births = torch.where(forget[:, None], ABSENT, birth)
    births[:, slot] = time
    age = torch.where(births == ABSENT, FAR, time[:, None] - births)
    mask = soft_mask(read - age[:, None], ramp)
    expected = plain.step(q, k, v, by_age, mask, age.clamp(max=M)).flatten(1)
    gone = is_expired(keep.amax(1) - (age + 1), ramp)
    for kind in range(native.kind() + 1):
        own = given_._replace(h=store[0].clone(), k=store[1].clone(), v=store[2].clone())
        after, alive = torch.full((B, 3, C), 7)[:, 1], torch.full((B, 2), 7)[:, 1]
        found = native.step(own, after, alive, kind)
        torch.testing.assert_close(found, expected, **({} if double else {"rtol": 1e-4, "atol": 2e-5}))
        assert all(map(torch.equal, (own.h, own.k, own.v), (h, k, v)))
        assert torch.equal(after, births.masked_fill(gone, ABSENT))
        assert torch.equal(alive, (mask > 0).any(1).sum(1))


def test_asking_for_c_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_library", lambda: "the package was installed without a C compiler")
    assert choose_kernel("auto") == choose_kernel("plain") == "plain"
    with pytest.raises(
        ValueError, match="attention='native' is not to be had here: the package was installed"
    ):
        TransformerMemory(8, heads=2, rule=FixedWindow(4), attention="native")


@pytest.mark.parametrize("kernel", WAYS)
def test_half_precision_in_half_precision_out(kernel: str) -> None:
    given_ = drawn(Case(2, 9, 15, 2, 16, 4, False, 5.0, 6.0, 0, 3), torch.float32)
    half = Inputs(*(x.bfloat16() for x in given_[:4]), *given_[4:])
    y = attend(half, kernel)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), attend(given_, kernel), rtol=0.05, atol=0.05)
