"""LSTM and GRU behind the same interface: the recurrent baselines.

`unroll` cuts the block at episode starts and hands the pieces to PyTorch as one packed sequence: no loop over time
and no padding, however the episodes are staggered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from expirespan.memory.core import Memory, MemoryOutput, MemoryState, Trace, near
from expirespan.parameters import Chrono, Layers, Width
from expirespan.ranges import checked


@dataclass(frozen=True)
class RecurrentState(MemoryState):
    """``hidden``: (B, parts * layers, D); parts are (h, c) for an LSTM, (h,) for a GRU."""

    hidden: Tensor

    @property
    def batch_size(self) -> int:
        """Number of environments."""
        return self.hidden.shape[0]

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to the hidden vectors."""
        return type(self)(fn(self.hidden))

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(torch.cat([s.hidden for s in states]))

    def state_dict(self) -> dict[str, Tensor]:
        """The hidden vectors."""
        return {"hidden": self.hidden.contiguous()}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of :meth:`state_dict`; ValueError if it is none."""
        hidden = tensors["hidden"]
        if hidden.dim() != 3 or not hidden.is_floating_point() or not bool(hidden.isfinite().all()):
            raise ValueError(
                "expected finite numbers hidden (B, parts * layers, D), as state_dict() returns them"
            )
        return cls(hidden)


class RecurrentMemory(Memory[RecurrentState]):
    """What `LSTMMemory` and `GRUMemory` share.

    ``chrono``: T > 2 in steps, about the longest time over which something must be kept: the gate that keeps
    starts with a bias of log u, u ~ U(1, T - 1), in every unit, so that units forget over times spread up to T
    (chrono initialisation, Tallec and Ollivier 2018, arXiv 1804.11188). None for PyTorch's own, with which a unit
    halves what it holds at every step.
    """

    parts: int
    network: type[nn.LSTM] | type[nn.GRU]
    gates: int
    """Gates in a bias of ``network``; the second is the one that keeps."""

    @checked
    def __init__(self, width: Width, layers: Layers = 1, chrono: Chrono | None = None) -> None:
        super().__init__()
        self.width = width
        self.rnn = self.network(width, width, layers)
        if chrono is not None:
            self._keep_long(chrono)

    @torch.no_grad()
    def _keep_long(self, chrono: float) -> None:
        for layer in range(self.rnn.num_layers):
            bias = self.rnn.get_parameter(f"bias_ih_l{layer}").view(self.gates, -1)
            other = self.rnn.get_parameter(f"bias_hh_l{layer}").view(self.gates, -1)
            bias[1].uniform_(1, chrono - 1).log_()
            other[1] = 0
            if self.gates == 4:  # an LSTM's input gate is apart: it lets in what the other leaves room for
                bias[0], other[0] = -bias[1], 0

    def initial_state(self, batch_size: int) -> RecurrentState:
        """All zero."""
        weight = next(self.parameters())
        return RecurrentState(weight.new_zeros(batch_size, self.parts * self.rnn.num_layers, self.width))

    def _run(self, x: Tensor | PackedSequence, hidden: Tensor) -> tuple[Any, Tensor]:
        """Outputs and final hidden vectors (rows, parts * layers, D), from ``hidden`` of equal shape."""
        parts = hidden.transpose(0, 1).contiguous().chunk(self.parts)
        out, last = self.rnn(x, parts if self.parts > 1 else parts[0])
        return out, (torch.cat(last) if self.parts > 1 else last).transpose(0, 1)

    @torch.no_grad()
    def step(
        self, x_BD: Tensor, state: RecurrentState, episode_start_B: Tensor, need_attention: bool = False
    ) -> MemoryOutput[RecurrentState]:
        """One recurrent step; there is no attention to return."""
        self.check_input(x_BD, state, episode_start_B, axes=2)
        hidden = state.hidden.masked_fill(episode_start_B.bool()[:, None, None], 0)
        y_1BD, last = self._run(x_BD[None], hidden)
        return MemoryOutput(y_1BD[0], RecurrentState(last), x_BD.new_zeros(0), Trace([], [], []))

    def unroll(
        self,
        x_BTD: Tensor,
        state: RecurrentState,
        episode_start_BT: Tensor,
        need_attention: bool = False,
        need_state: bool = True,
    ) -> MemoryOutput[RecurrentState]:
        """T steps; the pieces between episode starts run side by side."""
        self.check_input(x_BTD, state, episode_start_BT, axes=3)
        B, T, D = x_BTD.shape
        fresh = episode_start_BT.bool().cpu().flatten()  # the host waits, for shapes depend on it
        cut_BT = fresh.view(B, T).clone()
        cut_BT[:, 0] = True
        first = cut_BT.flatten().nonzero()[:, 0]  # where each piece starts, in env-major order
        ends = torch.cat([first[1:], first.new_tensor([B * T])])
        lengths, order = (ends - first).sort(descending=True, stable=True)
        first, ends = first[order], ends[order]
        hidden = state.hidden[near(first // T, x_BTD)]
        hidden = hidden.masked_fill(near(fresh[first], x_BTD)[:, None, None], 0)

        # packed layout: step j of every piece that long, longest piece first
        offset = torch.arange(int(lengths[0]))
        running = lengths[None, :] > offset[:, None]  # (longest, pieces)
        index = near((first[None, :] + offset[:, None])[running], x_BTD)
        packed = PackedSequence(x_BTD.flatten(0, 1)[index], running.sum(1))
        run, last = self._run(packed, hidden)
        out = run.data

        y = torch.empty_like(out).index_copy(0, index, out).view(B, T, D)
        final = torch.where(ends % T == 0)[0]  # the pieces that reach the end of their row
        final = near(final[(ends[final] // T).argsort()], x_BTD)
        return MemoryOutput(y, RecurrentState(last[final]), y.new_zeros(0), Trace([], [], []))


class LSTMMemory(RecurrentMemory):
    """LSTM of the given ``width``, ``layers`` and ``chrono`` (Hochreiter and Schmidhuber 1997)."""

    parts = 2
    network = nn.LSTM
    gates = 4


class GRUMemory(RecurrentMemory):
    """GRU of the given ``width``, ``layers`` and ``chrono`` (Cho et al. 2014, arXiv 1406.1078)."""

    parts = 1
    network = nn.GRU
    gates = 3
