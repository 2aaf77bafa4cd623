"""Blocks of steps: what their queries see, which memories are left after them, and groups of rows that run together.

Environments keep very different numbers of memories, and a block of rows is padded to its fullest. So an `unroll` runs
a block as a few groups of rows of similar width where that saves enough.

Letters: B environments, T steps, S memories from before, K = S + T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from expirespan.memory.attention import Sight
from expirespan.memory.core import MemoryOutput, Trace, near
from expirespan.memory.rules.rule import FAR, Columns
from expirespan.memory.slots import ABSENT, LayerMemories
from expirespan.memory.transformer_state import TransformerState


@dataclass(frozen=True)
class Block:
    """T steps of every environment, counted as places 0, 1, ...

    ``before_B``, ``after_B``: the clock before and after. ``episode_BT``: number of the episode, 0 for the one from
    before the block. ``begin_BT``: the place at which it began.
    """

    before_B: Tensor
    after_B: Tensor
    place_T: Tensor
    episode_BT: Tensor
    begin_BT: Tensor

    @classmethod
    def of(cls, time_B: Tensor, start_BT: Tensor) -> Self:
        """Block that finds the clock at ``time_B``."""
        T = start_BT.shape[1]
        place_T = torch.arange(T, device=start_BT.device)
        begin_BT = torch.where(start_BT, place_T, -time_B[:, None]).cummax(1).values
        return cls(time_B, T - begin_BT[:, -1], place_T, start_BT.long().cumsum(1), begin_BT)

    def sight(self, birth_BS: Tensor) -> Sight:
        """Of the memories from before and the block's own states."""
        place_BS = torch.where(birth_BS == ABSENT, -FAR, birth_BS - self.before_B[:, None])
        place_BK = torch.cat([place_BS, self.place_T.expand(len(birth_BS), -1)], 1)
        return Sight(place_BK, self.begin_BT, None, birth_BS.shape[1])

    def columns(self, h_BKD: Tensor, birth_BS: Tensor, span_BK: Tensor) -> Columns:
        """The memories from before and the block's, seen from the block."""
        place_BS = birth_BS - self.before_B[:, None]
        place_BK = torch.cat([place_BS, self.place_T.expand(len(birth_BS), -1)], 1)
        episode_BK = torch.cat([(birth_BS != ABSENT).long() - 1, self.episode_BT], 1)
        return Columns(h_BKD, place_BK, episode_BK, span_BK)

    def begins(self, S: int) -> Tensor:
        """(B, K) place at which the episode of each column began."""
        return torch.cat([-self.before_B[:, None].expand(-1, S), self.begin_BT], 1)

    def survivors(self, columns: Columns, ended_BK: Tensor) -> LayerMemories:
        """Those of the last step's episode that have not ended."""
        keep_BK = (columns.episode_BK == self.episode_BT[:, -1:]) & ~ended_BK
        place_BK = columns.place_BK - len(self.place_T)
        birth_BK = (place_BK + self.after_B[:, None]).masked_fill(~keep_BK, ABSENT)
        return LayerMemories(birth_BK, columns.span_BK, columns.h_BKD)


WORTH = 0.85
"""Group only if the padded area falls below this share of the ungrouped one."""
LEAST = 10_000
"""Scores that a further group must save: it costs as much to begin one."""


def width_groups(width_B: Tensor, T: int, most: int = 4, least_rows: int = 4) -> list[Tensor]:
    """Row indices of up to ``most`` groups of at least ``least_rows`` rows, by the memories each row keeps.

    ``width_B`` (B,): memories per row; each row has T keys more. One group, of all rows in order, if more would save
    little.
    """
    B = len(width_B)
    count = min(most, B // least_rows)
    if count < 2:
        return [torch.arange(B, device=width_B.device)]
    ordered, order = width_B.sort(stable=True)
    groups = list(order.tensor_split(count))
    fullest = [int(w[-1]) for w in ordered.tensor_split(count)]
    area = sum(len(group) * (width + T) for group, width in zip(groups, fullest, strict=True))
    whole = B * (fullest[-1] + T)
    if area > WORTH * whole or T * (whole - area) < LEAST * (count - 1):
        return [torch.arange(B, device=width_B.device)]
    return groups


def join(
    outputs: Sequence[MemoryOutput[Any]], groups: Sequence[Tensor], before: TransformerState
) -> MemoryOutput[Any]:
    """Outputs of the groups as one, rows in their original order; ``before``: the state, for outputs without one."""
    y = torch.cat([out.y for out in outputs])
    order = torch.cat(list(groups)).argsort()
    back: Tensor = near(order, y)
    rows: Tensor = near(torch.tensor([len(group) for group in groups]), y)
    traces = [out.trace for out in outputs]
    state = before
    if traces[0].births:
        state = TransformerState.cat([out.state for out in outputs])[order]

    def mean(parts: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(parts))
        return (stacked * (rows.to(stacked) / rows.sum())[:, None]).sum(0)

    def rejoin(parts: Sequence[list[Tensor]]) -> list[Tensor]:
        return [torch.cat(layer)[back] for layer in zip(*parts, strict=True)]

    return MemoryOutput(
        y=y[back],
        state=state,
        penalty=mean([out.penalty for out in outputs]),
        trace=Trace(
            spans=rejoin([t.spans for t in traces]),
            alive=rejoin([t.alive for t in traces]),
            births=[layer.birth_BS for layer in state.layers] if traces[0].births else [],
        ),
        auxiliary=mean([out.auxiliary for out in outputs]),
        readings=[[*chain(*parts)] for parts in zip(*(out.readings for out in outputs), strict=True)],
    )
