"""Groups of rows of similar width, so that learning costs what the memories need and not what the fullest row needs.

Environments keep very different numbers of memories, and a block of rows is padded to its fullest. `unroll` therefore
runs a batch as a few groups of rows of similar width where that saves enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from expirespan.memory.core import MemoryOutput, Trace

WORTH = 0.85
"""Group only if the padded area falls below this share of the ungrouped one."""


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
    if area > WORTH * B * (fullest[-1] + T):
        return [torch.arange(B, device=width_B.device)]
    return groups


def join(outputs: Sequence[MemoryOutput[Any]], groups: Sequence[Tensor]) -> MemoryOutput[Any]:
    """Outputs of the groups as one, rows in their original order."""
    back = torch.cat(list(groups)).argsort()
    rows = torch.tensor([len(group) for group in groups], device=back.device)
    state = type(outputs[0].state).cat([out.state for out in outputs])[back]
    traces = [out.trace for out in outputs]

    def mean(parts: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(parts))
        return (stacked * (rows.to(stacked) / rows.sum())[:, None]).sum(0)

    def rejoin(parts: Sequence[list[Tensor]]) -> list[Tensor]:
        return [torch.cat(layer)[back] for layer in zip(*parts, strict=True)]

    return MemoryOutput(
        y=torch.cat([out.y for out in outputs])[back],
        state=state,
        penalty=mean([out.penalty for out in outputs]),
        trace=Trace(
            spans=rejoin([t.spans for t in traces]),
            alive=rejoin([t.alive for t in traces]),
            births=[layer.birth_BS for layer in state.layers],
        ),
        auxiliary=mean([out.auxiliary for out in outputs]),
        readings=[[*chain(*parts)] for parts in zip(*(out.readings for out in outputs), strict=True)],
    )
