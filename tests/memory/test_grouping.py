"""Rows unrolled in groups of similar width: which rows go together, and that nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_harness import D, assert_close, assert_same, build, stepped, unrolled, warm

from expirespan.memory import TransformerMemory, TransformerState, block
from expirespan.memory.block import WORTH, width_groups


@pytest.fixture(autouse=True)
def _any_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups also where only a few scores are saved."""
    monkeypatch.setattr(block, "LEAST", 0)


def test_no_groups_where_little_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups save T (8 * 91 - 4 * 91 - 4 * 3) = 352 T scores: enough from T = 29 on."""
    monkeypatch.undo()
    wide = torch.tensor([90, 0, 1, 88, 2, 91, 3, 89])
    assert [len(width_groups(wide, T)) for T in (28, 29)] == [1, 2]


def test_groups_by_hand() -> None:
    """Quarters of the rows by width; together where that saves under 15 % of the keys, or rows are few."""
    wide = torch.tensor([90, 0, 1, 88, 2, 91, 3, 89])
    assert [g.tolist() for g in width_groups(wide, T=4)] == [[1, 2, 4, 6], [3, 7, 0, 5]]
    assert [g.tolist() for g in width_groups(wide, T=4, least_rows=2)] == [[1, 2], [4, 6], [3, 7], [0, 5]]
    together = [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert [g.tolist() for g in width_groups(wide, T=4, least_rows=5)] == together
    assert [g.tolist() for g in width_groups(wide, T=4, most=1)] == together
    # two groups of 4 (3 + T) + 4 (91 + T) keys against 8 (91 + T): worth it up to T = 202
    assert len(width_groups(wide, T=202)) == 2
    assert len(width_groups(wide, T=203)) == 1


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 30))
@settings(derandomize=True, deadline=None)
def test_every_row_is_in_one_group_and_groups_save(widths: list[int], T: int) -> None:
    groups = width_groups(torch.tensor(widths, dtype=torch.long), T)
    assert sorted(torch.cat(groups).tolist()) == list(range(len(widths)))
    if len(groups) > 1:
        kept = [[widths[row] for row in group] for group in groups]
        assert min(map(len, kept)) >= 4
        assert all(max(left) <= min(right) for left, right in pairwise(kept))
        area = sum(len(group) * (max(group) + T) for group in kept)
        assert area <= WORTH * len(widths) * (max(widths) + T)


@pytest.mark.parametrize(
    "case",
    [
        ("fixed_window", {"window": 40, "heads": 2}),
        ("expire_span", {"max_span": 40, "ramp": 3, "heads": 2}),
        ("expire_span", {"max_span": 30, "ramp": 6, "heads": 2, "penalty": "ramp"}),
    ],
    ids=["window", "all", "ramp"],
)
def test_groups_change_nothing(case: tuple[str, dict[str, Any]]) -> None:
    """Twelve rows, four with many memories: outputs, trace, penalty, state and gradients as row by row."""
    memory = build(case)
    assert isinstance(memory, TransformerMemory)
    state = TransformerState.cat([memory.initial_state(8), warm(memory)])[torch.randperm(12)]
    x = torch.randn(12, 6, D, dtype=torch.float64, requires_grad=True)
    start = torch.rand(12, 6) < 0.1
    assert len(width_groups(state.slots.width_B, 6)) > 1

    grouped = unrolled(memory, x, state, start)
    assert_same(grouped, stepped(memory, x.detach(), state, start))
    rows = [unrolled(memory, x[[row]], state[[row]], start[[row]]) for row in range(12)]
    assert_close(grouped.penalty, torch.stack([run.penalty for run in rows]).mean(0))
    more, none = torch.randn(12, 5, D, dtype=torch.float64), torch.zeros(12, 5, dtype=torch.bool)
    assert_close(
        unrolled(memory, more, grouped.state, none).y,
        torch.cat([unrolled(memory, more[[row]], run.state, none[[row]]).y for row, run in enumerate(rows)]),
    )

    weight = torch.randn(12, 6, D, dtype=torch.float64)
    losses = (
        (grouped.y * weight).sum() + grouped.penalty.sum(),
        sum((run.y * weight[row]).sum() + run.penalty.sum() / 12 for row, run in enumerate(rows)),
    )
    wrt = (x, *memory.parameters())
    found, expected = (torch.autograd.grad(loss, wrt, allow_unused=True) for loss in losses)  # type: ignore
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_the_reconstruction_is_the_same_in_any_groups() -> None:
    """Rows that have read nothing that was summed up do not weigh less in a group of their own."""
    memory = build(("compressive", {"window": 8, "slots": 6, "factor": 2, "heads": 2}))
    assert isinstance(memory, TransformerMemory)
    x, start = torch.randn(12, 6, D, dtype=torch.float64), torch.zeros(12, 6, dtype=torch.bool)
    state = memory.initial_state(4)
    for _ in range(30):
        state = memory.step(torch.randn(4, D, dtype=torch.float64), state, start[:4, 0]).state
    state = TransformerState.cat([memory.initial_state(8), state])
    assert len(width_groups(state.slots.width_B, 6)) > 1
    grouped = memory.unroll(x, state, start).auxiliary
    rows = [memory.unroll(x[[row]], state[[row]], start[[row]]).auxiliary for row in range(12)]
    assert (grouped > 0).all()
    assert_close(grouped, torch.stack(rows).mean(0))
