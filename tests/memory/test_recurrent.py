"""LSTM and GRU against a plain loop over PyTorch's cells, one environment and one step at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from expirespan.memory import GRUMemory, LSTMMemory

KINDS = pytest.mark.parametrize("kind", [LSTMMemory, GRUMemory])


def cells(memory: LSTMMemory | GRUMemory) -> list[Any]:
    """One cell per layer with the weights of the memory."""
    made = []
    for layer in range(memory.rnn.num_layers):
        cell = (nn.LSTMCell if isinstance(memory, LSTMMemory) else nn.GRUCell)(memory.width, memory.width)
        names = {name: getattr(memory.rnn, f"{name}_l{layer}") for name in cell.state_dict()}
        cell.double().load_state_dict(names)
        made.append(cell)
    return made


def loop(
    memory: LSTMMemory | GRUMemory, x_TD: Tensor, start_T: list[bool], hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs (T, D) and last hidden vectors (parts * layers, D) of one environment."""
    layers = memory.rnn.num_layers
    lstm = isinstance(memory, LSTMMemory)
    stack = cells(memory)
    h, c = list(hidden[:layers]), list(hidden[layers:]) if lstm else []
    outputs = []
    for x, start in zip(x_TD, start_T, strict=True):
        for layer, cell in enumerate(stack):
            if start:
                h[layer] = torch.zeros_like(h[layer])
            if lstm:
                memory_cell = torch.zeros_like(c[layer]) if start else c[layer]
                h[layer], c[layer] = cell(x, (h[layer], memory_cell))
            else:
                h[layer] = cell(x, h[layer])
            x = h[layer]
        outputs.append(x)
    return torch.stack(outputs), torch.stack(h + c)


@KINDS
@given(
    starts=st.integers(1, 7).flatmap(
        lambda T: st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=4)
    ),
    layers=st.integers(1, 2),
    seed=st.integers(0, 2**31),
)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_equals_a_loop_over_cells(kind: Any, starts: list[list[bool]], layers: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    memory = kind(3, layers=layers).double()
    x = torch.randn(len(starts), len(starts[0]), 3, generator=generator, dtype=torch.float64)
    state = memory.initial_state(len(starts)).map(lambda h: h + torch.randn(h.shape, generator=generator))
    out = memory.unroll(x, state, torch.tensor(starts))
    for env, start in enumerate(starts):
        y, hidden = loop(memory, x[env], start, state.hidden[env])
        torch.testing.assert_close(out.y[env], y, rtol=0, atol=1e-12)
        torch.testing.assert_close(out.state.hidden[env], hidden, rtol=0, atol=1e-12)


@KINDS
def test_gradients_equal_those_of_the_loop(kind: Any) -> None:
    memory = kind(3, layers=2).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn_like(memory.initial_state(2).hidden).requires_grad_()
    starts = torch.tensor([[False, False, True, False, False, True], [False] * 6])
    weight = torch.randn(2, 6, 3, dtype=torch.float64)

    state = memory.initial_state(2).map(lambda _: hidden)
    found = torch.autograd.grad((memory.unroll(x, state, starts).y * weight).sum(), (x, hidden))
    looped = torch.stack([loop(memory, x[i], starts[i].tolist(), hidden[i])[0] for i in range(2)])
    torch.testing.assert_close(found, torch.autograd.grad((looped * weight).sum(), (x, hidden)))


@KINDS
def test_state_is_zero_at_first_and_of_fixed_size(kind: Any) -> None:
    memory = kind(5, layers=3).double()
    hidden = memory.initial_state(4).hidden
    assert hidden.shape == (4, {LSTMMemory: 6, GRUMemory: 3}[kind], 5)
    assert hidden.dtype == torch.float64
    assert not hidden.any()


@KINDS
def test_has_no_spans(kind: Any) -> None:
    memory = kind(5)
    out = memory.unroll(torch.zeros(2, 3, 5), memory.initial_state(2), torch.zeros(2, 3, dtype=torch.bool))
    assert out.penalty.shape == (0,)
    assert (out.trace.spans, out.trace.alive, out.trace.births) == ([], [], [])


@KINDS
def test_chrono_initialisation(kind):
    """With no input and all units holding 1, what is kept after a step is (u / (1 + u)), u within (1, T - 1)."""
    memory = kind(width=512, layers=2, chrono=101)
    for layer in range(2):
        keep = memory.rnn.get_parameter(f"bias_ih_l{layer}").view(memory.gates, -1)[1].exp()
        assert 1 <= keep.min() < 5 and 96 < keep.max() <= 100
        assert keep.mean().item() == pytest.approx(50.5, abs=5)
        assert memory.rnn.get_parameter(f"bias_hh_l{layer}").view(memory.gates, -1)[1].abs().max() == 0
    if kind is LSTMMemory:
        bias = memory.rnn.bias_ih_l0.view(4, -1)
        assert torch.equal(bias[0], -bias[1])


@pytest.mark.parametrize("chrono", [2, -1, float("inf")])
@KINDS
def test_wrong_chrono(kind, chrono):
    with pytest.raises(ValueError, match=r"chrono must be a finite number of steps > 2.* or None"):
        kind(width=4, chrono=chrono)
