"""Removal of chosen memories from a state, as if they had been deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from expirespan.memory.slots import ABSENT
from expirespan.memory.transformer_state import TransformerState


def forget(state: TransformerState, births: Tensor | Sequence[int]) -> TransformerState:
    """The state without the memories that all layers wrote at some steps of the episode.

    ``births`` (B,) or (B, K), integers: for each environment the step, or the K steps, counted from 0 at the start of
    its episode. A step without a memory, such as -1, removes nothing. Later memories stay, though they may hold a copy
    of what the removed ones knew. Under the Compressive Transformer a summary has the step of its oldest state.

    Raises:
        ValueError: ``births`` has not one row for each environment of the state.
    """
    slots = state.slots
    steps = torch.as_tensor(births, dtype=torch.long, device=slots.birth_BLC.device)
    if steps.dim() not in (1, 2) or len(steps) != state.batch_size:
        raise ValueError(
            f"births must have shape ({state.batch_size},) or ({state.batch_size}, K), one row for each environment of "
            f"the state, got {tuple(steps.shape)}"
        )
    steps_BK = steps.view(len(steps), -1)
    gone_BLC = (slots.birth_BLC[..., None] == steps_BK[:, None, None]).any(-1)
    return replace(state, slots=replace(slots, birth_BLC=slots.birth_BLC.masked_fill(gone_BLC, ABSENT)))
