"""A step in one environment without one of its memories, many times at once: all queries share the stored memories.

Letters: R rows, of which each lacks another memory, L layers, C slots, D width, H heads, d = D / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from expirespan.memory.acting import sight
from expirespan.memory.slots import ABSENT
from expirespan.memory.transformer_layer import TransformerLayer
from expirespan.memory.transformer_state import TransformerState


def step_without(
    layers: Sequence[TransformerLayer],
    x_1D: Tensor,
    state: TransformerState,
    forget_1: Tensor,
    birth_R: Tensor,
) -> Tensor:
    """Outputs (R, D) of the last layer, as `acting.step` gives them for the states that `forget` returns.

    ``birth_R``: the step whose memories each row lacks, -1 for none. ``state`` must hold keys and values.
    """
    slots, M = state.slots, layers[0].position.shape[1]
    time_1 = state.time_B.masked_fill(forget_1, 0)
    birth_1LC = slots.birth_BLC[..., : slots.used].masked_fill(forget_1[:, None, None], ABSENT)
    span_1LC = slots.store.span_BLC[..., : slots.used]
    _, mask_1LHC, near_1LC = sight(layers, birth_1LC, time_1, span_1LC, state.spans)
    birth_LC, log_LHC, near_LC = birth_1LC[0], mask_1LHC[0].log(), near_1LC[0]

    def attend(i: int, p: Tensor, _: Tensor) -> Tensor:
        lead = slots.lead(i)
        k_HdC, v_HCd = (part[0] for part in slots.store.kv[i])
        k_HdC, v_HCd = k_HdC[..., : slots.used - lead], v_HCd[:, : slots.used - lead]
        H, d, _C = k_HdC.shape
        parts = p.split([H * d, H * d, H * d, H * (M + 1)], -1)
        q, key, value, by_age = (part.view(len(p), H, -1).transpose(0, 1) for part in parts)
        lacks_RC = birth_R[:, None] == birth_LC[i, lead:]
        score_HRC = q @ k_HdC + by_age[..., near_LC[i, lead:]] + log_LHC[i, :, None, lead:]
        score_HRC = score_HRC.masked_fill(lacks_RC, -torch.inf)
        own_HR1 = (q * key).sum(-1, keepdim=True) + by_age[..., :1]
        weights = torch.softmax(torch.cat([score_HRC, own_HR1], -1), -1).to(value.dtype)
        read_HRd: Tensor = weights[..., :-1] @ v_HCd + weights[..., -1:] * value
        return read_HRd.transpose(0, 1).flatten(1)

    x_RD = x_1D.expand(len(birth_R), -1)
    for i, layer in enumerate(layers):
        x_RD = layer.step(x_RD, slots.store.projections[i], partial(attend, i))
    return x_RD
