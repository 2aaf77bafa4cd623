"""Gates that join a sublayer's output to the stream: plain addition, or the GRU gate of GTrXL."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualGate(nn.Module):
    """x + y."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Join stream ``x`` and sublayer output ``y`` (same shape)."""
        return x + y


class GRUGate(nn.Module):
    """GRU-type gating of GTrXL (Parisotto et al. 2020, arXiv 1910.06764, section 3.2).

    r = s(Wr y + Ur x), z = s(Wz y + Uz x - bg), c = tanh(Wg y + Ug (r * x)), output (1 - z) x + z c; bg starts at
    2, so that the layer begins close to the identity. As there, y passes a ReLU first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_y = nn.Linear(width, 3 * width, bias=False)
        self.from_x = nn.Linear(width, 2 * width, bias=False)
        self.from_rx = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.full((width,), 2.0))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Join stream ``x`` and sublayer output ``y`` (same shape)."""
        ry, zy, cy = self.from_y(torch.relu(y)).chunk(3, -1)
        rx, zx = self.from_x(x).chunk(2, -1)
        z = torch.sigmoid(zy + zx - self.bias)
        c = torch.tanh(cy + self.from_rx(torch.sigmoid(ry + rx) * x))
        return (1 - z) * x + z * c


GATES: dict[str, type[nn.Module]] = {"residual": ResidualGate, "gru": GRUGate}
