"""Removal of memories: as if they had been deleted, in a state and in the fast step that answers for many at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from memory_harness import RULE_CASES, Case, assert_close, build
from torch import Tensor
from torch.nn import functional as F

from expirespan.memory import FixedWindow, LSTMMemory, TransformerMemory, TransformerState, forget
from expirespan.memory.slots import ABSENT, LayerMemories

STEPS, D = 13, 8


def lived(memory: TransformerMemory, rows: int = 1, steps: int = STEPS, seed: int = 0) -> TransformerState:
    """A state after some steps; row 1, if there is one, began its episode at step 4."""
    torch.manual_seed(seed)
    state = memory.initial_state(rows)
    for t in range(steps):
        start = torch.tensor([t == 0, t == 4, False][:rows])
        state = memory.step(torch.randn(rows, D).double(), state, start).state
    return state


def without_columns(state: TransformerState, birth: int) -> TransformerState:
    """A state of one environment, made anew of the memories that other steps wrote."""
    layers = []
    for layer in state.layers:
        stay = layer.birth_BS[0] != birth
        layers.append(LayerMemories(*(part[:, stay] for part in layer)))
    return TransformerState.of(state.time_B, layers, state.spans)


def read(memory: TransformerMemory, state: TransformerState, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    x = torch.randn(state.batch_size, D).double()
    return memory.step(x, state, torch.zeros(len(x), dtype=torch.bool)).y


@pytest.mark.parametrize("kernel", ["plain", "auto"])
@pytest.mark.parametrize("case", RULE_CASES)
def test_removal_equals_memories_that_never_were(case: Case, kernel: str) -> None:
    """Stepping, unrolling and the fast step agree with a state from which the columns are gone."""
    memory: Any = build((case[0], case[1] | {"attention": kernel}))
    state = lived(memory)
    births = sorted({t for layer in state.layers for t in layer.birth_BS[0].tolist()} - {ABSENT})
    start, none = torch.zeros(1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)
    torch.manual_seed(1)
    x = torch.randn(1, D).double()
    fast = memory.step_without(x, state, start, [-1, *births, 99])
    assert len(fast) == len(births) + 2
    assert_close(fast[:1], memory.step(x, state, start).y)
    assert_close(fast[-1:], fast[:1])
    for row, birth in zip(fast[1:-1], births, strict=True):
        gone = forget(state, [birth])
        assert all((layer.birth_BS != birth).all() for layer in gone.layers)
        expected = memory.step(x, without_columns(state, birth), start).y
        assert_close(memory.step(x, gone, start).y, expected)
        assert_close(row[None], expected)
        assert_close(memory.unroll(x[:, None], gone, none).y[:, 0], expected)


def test_the_read_is_the_mean_of_what_is_left() -> None:
    """One layer without queries reads the mean of all values, and of the others when one is removed."""
    memory = TransformerMemory(4, layers=1, heads=1, rule=FixedWindow(50), positions=1).double()
    layer: Any = memory.layers[0]
    with torch.no_grad():
        for parameter in (layer.query.weight, layer.query.bias, layer.ff[-1].weight, layer.ff[-1].bias):
            parameter.zero_()
        layer.key_value.weight.zero_()
        layer.key_value.weight[4:] = torch.eye(4)
        layer.key_value.bias.zero_()
        layer.out.weight.copy_(torch.eye(4))
        layer.out.bias.zero_()
    inputs = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]).double()
    state, start = memory.initial_state(1), torch.zeros(1, dtype=torch.bool)
    for x in inputs[:3]:
        state = memory.step(x[None], state, start).state
    values = F.layer_norm(inputs, (4,))
    for gone in range(3):
        left = [t for t in range(4) if t != gone]
        expected = F.layer_norm(inputs[3] + values[left].mean(0), (4,))
        assert_close(memory.step(inputs[3:], forget(state, [gone]), start).y[0], expected)
    everything = memory.step(inputs[3:], forget(state, [[0, 1, 2]]), start).y[0]
    assert_close(everything, F.layer_norm(inputs[3] + values[3], (4,)))
    assert_close(everything[None], memory.step(inputs[3:], memory.initial_state(1), start).y)


def test_environments_forget_apart_and_states_stay_values() -> None:
    memory: Any = build(("fixed_window", {"window": 30, "heads": 2}))
    state = lived(memory, rows=3)
    before = read(memory, state)
    births = torch.tensor([[2, 5], [-1, -1], [0, 700]])
    after = read(memory, forget(state, births))
    for row in range(3):
        alone = read(memory, state)[row] if row == 1 else None
        expected = memory.step(
            torch.manual_seed(1) and torch.randn(3, D).double()[row : row + 1],
            forget(state[[row]], births[row : row + 1]),
            torch.zeros(1, dtype=torch.bool),
        ).y[0]
        assert_close(after[row], expected)
        if alone is not None:
            assert_close(after[row], alone)
    assert not torch.allclose(after[0], before[0]) and not torch.allclose(after[2], before[2])
    assert_close(read(memory, state), before)
    assert all((layer.birth_BS[0] == 2).any() for layer in state.layers)


def test_what_is_not_read_changes_nothing() -> None:
    """A limit on spans masks older memories without deleting them."""
    memory: Any = build(("expire_span", {"max_span": 1000, "ramp": 1, "init_fraction": 0.9}))
    state = lived(memory).with_spans(limit=torch.tensor([3.0]))
    assert (state.layers[0].birth_BS[0] == 2).any()
    assert_close(read(memory, forget(state, [2])), read(memory, state))
    assert not torch.allclose(read(memory, forget(state, [STEPS - 2])), read(memory, state))


def test_at_the_start_of_an_episode_there_is_nothing_to_remove() -> None:
    memory: Any = build(("expire_span", {"max_span": 9}))
    state, x, start = lived(memory), torch.randn(1, D).double(), torch.ones(1, dtype=torch.bool)
    fresh = memory.step(x, memory.initial_state(1), start).y
    assert_close(memory.step_without(x, state, start, [-1, STEPS - 1]), fresh.expand(2, -1))


@pytest.mark.parametrize("births", [[1], [1, 2, 3], [[[1]], [[2]]]])
def test_other_shapes_are_refused(births: Any) -> None:
    memory: Any = build(("expire_span", {"max_span": 9}))
    with pytest.raises(ValueError, match=r"births must have shape \(2,\) or \(2, K\)"):
        forget(lived(memory, rows=2), births)


def test_one_environment_at_a_time() -> None:
    memory: Any = build(("expire_span", {"max_span": 9}))
    state = lived(memory, rows=2)
    with pytest.raises(ValueError, match="takes one environment, got 2"):
        memory.step_without(torch.zeros(2, D).double(), state, torch.zeros(2, dtype=torch.bool), [0])
    assert not hasattr(LSTMMemory(4), "step_without")
    assert replace(state) is not state
