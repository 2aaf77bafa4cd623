"""A memory that is no Transformer: running averages of what was seen, at several speeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from torch import Tensor, nn

from expirespan.memory import Memory, MemoryOutput, MemoryState, Trace
from expirespan.parameters import Width
from expirespan.ranges import Range, checked


@dataclass(frozen=True)
class AveragesState(MemoryState):
    """``mean_BSD``: the averages at S speeds."""

    mean_BSD: Tensor

    @property
    def batch_size(self) -> int:
        """Number of environments."""
        return self.mean_BSD.shape[0]

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to the averages."""
        return type(self)(fn(self.mean_BSD))

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(torch.cat([state.mean_BSD for state in states]))

    def state_dict(self) -> dict[str, Tensor]:
        """The averages."""
        return {"mean": self.mean_BSD}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of `state_dict`; ValueError if it is none."""
        mean = tensors["mean"]
        if mean.dim() != 3 or not mean.is_floating_point() or not bool(mean.isfinite().all()):
            raise ValueError("expected finite numbers mean (B, S, D), as state_dict() returns them")
        return cls(mean)


class Averages(Memory[AveragesState]):
    """m = m + (x - m) / T at S speeds, T = 2, 4, ..., 2**S steps; the answer is a linear map of all of them.

    Nothing is learned about what to keep: older inputs fade by themselves.
    """

    @checked
    def __init__(self, width: Width, speeds: Annotated[int, Range(1, 20)] = 6) -> None:
        super().__init__()
        self.width = width
        self.read = nn.Linear(speeds * width, width)
        self.register_buffer("rate_S1", 0.5 ** torch.arange(1.0, speeds + 1)[:, None])
        self.rate_S1: Tensor

    def initial_state(self, batch_size: int) -> AveragesState:
        """All zero."""
        return AveragesState(self.rate_S1.new_zeros(batch_size, len(self.rate_S1), self.width))

    def _next(self, mean_BSD: Tensor, x_BD: Tensor, start_B: Tensor) -> Tensor:
        before = mean_BSD.masked_fill(start_B.bool()[:, None, None], 0)
        return before + self.rate_S1 * (x_BD[:, None] - before)

    @torch.no_grad()
    def step(
        self, x_BD: Tensor, state: AveragesState, episode_start_B: Tensor, need_attention: bool = False
    ) -> MemoryOutput[AveragesState]:
        """One step; there is no attention to return."""
        self.check_input(x_BD, state, episode_start_B, axes=2)
        mean_BSD = self._next(state.mean_BSD, x_BD, episode_start_B)
        y_BD = self.read(mean_BSD.flatten(1))
        return MemoryOutput(y_BD, AveragesState(mean_BSD), x_BD.new_zeros(0), Trace([], [], []))

    def unroll(
        self,
        x_BTD: Tensor,
        state: AveragesState,
        episode_start_BT: Tensor,
        need_attention: bool = False,
        need_state: bool = True,
    ) -> MemoryOutput[AveragesState]:
        """T steps, one after the other."""
        self.check_input(x_BTD, state, episode_start_BT, axes=3)
        means = [state.mean_BSD]
        for x_BD, start_B in zip(x_BTD.unbind(1), episode_start_BT.unbind(1), strict=True):
            means.append(self._next(means[-1], x_BD, start_B))
        y_BTD = self.read(torch.stack(means[1:], 1).flatten(2))
        return MemoryOutput(y_BTD, AveragesState(means[-1]), x_BTD.new_zeros(0), Trace([], [], []))
