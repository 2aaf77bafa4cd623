"""States and modules of every registered memory: copied, joined, saved, continued twice, and kept small."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from memory_harness import (
    FIRST_CASES,
    STARTS,
    B,
    Case,
    D,
    Runner,
    T,
    assert_close,
    assert_same,
    build,
    inputs,
    shake,
    stepped,
    unrolled,
    warm,
)
from torch import Tensor

from expirespan.memory import Memory


def test_branches_do_not_disturb_each_other(memory: Memory[Any]) -> None:
    """More steps than a growing store has spare columns, taken in turns from one state."""
    state = warm(memory)
    before = {name: value.clone() for name, value in state.state_dict().items()}
    xs = [inputs(), inputs()]
    branches, ys = [state, state], ([], [])
    for t in range(T):
        for i, x in enumerate(xs):
            out = memory.step(x[:, t], branches[i], STARTS[:, t])
            branches[i] = out.state
            ys[i].append(out.y)
    for x, y in zip(xs, ys, strict=True):
        assert_close(torch.stack(y, 1), unrolled(memory, x, state, STARTS).y)
        assert_close(torch.stack(y, 1), stepped(memory, x, state, STARTS).y)
    after = state.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def saved(state: Any) -> Any:
    """The state after a round trip through a file's bytes."""
    return type(state).from_state_dict(safetensors.torch.load(safetensors.torch.save(state.state_dict())))


CHANGES: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    "index": (lambda s: s[[2, 0, 2]], [2, 0, 2]),
    "mask": (lambda s: s[torch.tensor([False, True, False, True])], [1, 3]),
    "slice": (lambda s: s[1:3], [1, 2]),
    "cat": (lambda s: type(s).cat([s[[3]], s[:2]]), [3, 0, 1]),
    "map": (lambda s: s.map(torch.clone), [0, 1, 2, 3]),
    "to": (lambda s: s.to("cpu"), [0, 1, 2, 3]),
    "detach": (lambda s: s.detach(), [0, 1, 2, 3]),
    "without_cache": (lambda s: s.without_cache(), [0, 1, 2, 3]),
    "cat_with_and_without_cache": (lambda s: type(s).cat([s[:1], s[1:].without_cache()]), [0, 1, 2, 3]),
    "saved": (saved, [0, 1, 2, 3]),
    "deepcopy": (copy.deepcopy, [0, 1, 2, 3]),
}


@pytest.mark.parametrize("run", [stepped, unrolled])
@pytest.mark.parametrize("change", CHANGES)
def test_states_can_be_handled(memory: Memory[Any], run: Runner, change: str) -> None:
    apply, rows = CHANGES[change]
    x, state = inputs(), warm(memory)
    changed = apply(state)
    assert changed.batch_size == len(rows)
    expected = run(memory, x, state, STARTS)
    found = run(memory, x[rows], changed, STARTS[rows])
    assert_close(found.y, expected.y[rows])
    assert found.births == [[layer[row] for row in rows] for layer in expected.births]


def test_fresh_environments_join_running_ones(memory: Memory[Any]) -> None:
    x, state = inputs(), warm(memory)
    joined = type(state).cat([memory.initial_state(1), state[1:]])
    start = STARTS.clone()
    start[0, 0] = True
    assert_same(stepped(memory, x, joined, STARTS), unrolled(memory, x, state, start))


def test_detach_cuts_the_graph_and_a_step_makes_none(memory: Memory[Any], case: Case) -> None:
    x = inputs().requires_grad_()
    state = memory.unroll(x, warm(memory), STARTS).state

    def reach_back(state: Any) -> bool:
        loss = memory.unroll(inputs(), state, torch.zeros_like(STARTS)).y.square().sum()
        return bool(torch.autograd.grad(loss, x, allow_unused=True, materialize_grads=True)[0].any())

    assert reach_back(state) or case[1].get("window") == 1
    assert not reach_back(state.detach())
    assert not memory.step(x[:, 0], state, STARTS[:, 0]).y.requires_grad


def test_refresh_acts_under_the_new_weights(memory: Memory[Any]) -> None:
    x, state = inputs(), warm(memory)
    old = unrolled(memory, x, state, STARTS)
    shake(memory)
    new = unrolled(memory, x, state, STARTS)
    assert not torch.allclose(old.y, new.y)
    assert_same(stepped(memory, x, memory.refresh(state), STARTS), new)
    assert_same(unrolled(memory, x, memory.refresh(state), STARTS), new)
    assert_same(stepped(memory, x, saved(state), STARTS), new)


@pytest.mark.parametrize("case", FIRST_CASES, indirect=True)
def test_an_endless_episode_fits_in_bounded_memory(memory: Memory[Any]) -> None:
    """5,000 steps without a start hold what is alive, and room for a quarter more or 16 columns."""
    state, held, alive = memory.initial_state(1), [], []
    x, none = torch.randn(5000, 1, D, dtype=torch.float64), torch.zeros(1, dtype=torch.bool)
    for step in range(5000):
        out = memory.step(x[step], state, none)
        state = out.state
        if step % 10 == 0:
            alive.append(sum(int((births >= 0).sum()) for births in out.trace.births))
            held.append(number_of_elements(state))
    assert max(held[250:]) <= 1.2 * max(held[:50])
    if layers := len(out.trace.births):
        assert max(held) <= (3 * D + 2) * (1.25 * (max(alive) + layers) + 16 * layers) + 4


def number_of_elements(state: Any) -> int:
    """Of all tensors that ``map`` reaches."""
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    state.map(note)
    return sum(sizes)


# Modules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda memory: pickle.loads(pickle.dumps(memory))])
def test_modules_can_be_copied(memory: Memory[Any], clone: Any) -> None:
    x, state = inputs(), warm(memory)
    before = unrolled(memory, x, state, STARTS)
    other = clone(memory)
    assert_same(stepped(other, x, state, STARTS), before)
    shake(other)
    assert_same(unrolled(memory, x, state, STARTS), before)


def test_module_state_dict_is_floating_and_complete(case: Case, memory: Memory[Any]) -> None:
    tensors = memory.state_dict()
    assert all(tensor.is_floating_point() for tensor in tensors.values())
    other = build(case)
    other.load_state_dict(tensors)
    x, state = inputs(), warm(memory)
    assert_same(unrolled(other, x, state, STARTS), unrolled(memory, x, state, STARTS))


@pytest.mark.parametrize(
    ("x", "batch", "start", "message"),
    [
        ((B, T, D + 1), B, (B, T), "width 8"),
        ((B, T, D), B, (B, T + 1), "episode_start must have shape"),
        ((B, T, D), B, (T, B), "episode_start must have shape"),
        ((B, T, D), B + 1, (B, T), "holds 5 environments and the input 4"),
        ((B, D), B, (B,), "inputs must have shape"),
        ((B, 0, D), B, (B, 0), "T >= 1"),
        ((0, T, D), 0, (0, T), r"B, T >= 1, got \(0, 24, 8\)"),
    ],
)
def test_wrong_shapes_are_named(memory: Memory[Any], x: Any, batch: int, start: Any, message: str) -> None:
    state = memory.initial_state(batch)
    with pytest.raises(ValueError, match=message):
        memory.unroll(torch.zeros(x, dtype=torch.float64), state, torch.zeros(start, dtype=torch.bool))


def test_wrong_shapes_of_a_step_are_named(memory: Memory[Any]) -> None:
    x, state = inputs(), memory.initial_state(B)
    with pytest.raises(ValueError, match=r"inputs must have shape \(B, D\) with B >= 1, got \(4, 24, 8\)"):
        memory.step(x, state, STARTS)
    with pytest.raises(ValueError, match=r"B >= 1, got \(0, 8\)"):
        memory.step(x[:0, 0], memory.initial_state(0), STARTS[:0, 0])
    with pytest.raises(ValueError, match="episode_start must have shape"):
        memory.step(x[:, 0], state, STARTS)
