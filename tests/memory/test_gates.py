"""Gates in numbers worked out by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from expirespan.memory.transformer_layer import GATES, GRUGate, ResidualGate


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def test_residual_is_addition() -> None:
    assert torch.equal(ResidualGate(1)(column(1, 2), column(10, -20)), column(11, -18))


def test_gru_gate_by_hand() -> None:
    """Width 1, x = 0.5, y = 2: r, z and the candidate as in equation (5) of the GTrXL paper."""
    gate = GRUGate(1).double()
    with torch.no_grad():
        gate.from_y.weight.copy_(column(0.1, 0.2, 0.3))  # Wr, Wz, Wg
        gate.from_x.weight.copy_(column(-0.4, 0.6))  # Ur, Uz
        gate.from_rx.weight.fill_(0.8)  # Ug
        gate.bias.fill_(1.5)

    def expected(x: float, y: float) -> float:
        r = sigmoid(0.1 * y - 0.4 * x)
        z = sigmoid(0.2 * y + 0.6 * x - 1.5)
        return (1 - z) * x + z * math.tanh(0.3 * y + 0.8 * (r * x))

    found = gate(column(0.5, 0.5), column(2, -2))
    torch.testing.assert_close(found, column(expected(0.5, 2), expected(0.5, 0)))  # y passes a ReLU


def test_gru_gate_starts_near_the_identity() -> None:
    """With bias 2 and no other weights z = sigmoid(-2) = 0.119, and the candidate is 0: output 0.881 x."""
    gate = GRUGate(3).double()
    with torch.no_grad():
        for weight in (gate.from_y.weight, gate.from_x.weight, gate.from_rx.weight):
            weight.zero_()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(gate(x, torch.randn_like(x)), x * (1 - sigmoid(-2)))


def test_every_gate_keeps_shape_and_treats_vectors_alone() -> None:
    for gate in (kind(4).double() for kind in GATES.values()):
        x, y = torch.randn(2, 3, 5, 4, dtype=torch.float64)
        together = gate(x, y)
        assert together.shape == x.shape
        torch.testing.assert_close(gate(x[1, 2], y[1, 2]), together[1, 2])
