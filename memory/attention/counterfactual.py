"""Attention with a gradient to what is masked as well, for a lesson in forgetting."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Counterfactual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, score_BHTK: Tensor, mask_B1TK: Tensor, v_BHKd: Tensor) -> Tensor:
        masked = score_BHTK + mask_B1TK.log()
        log_total = torch.logsumexp(masked, -1, keepdim=True)
        share, weights = score_BHTK - log_total, (masked - log_total).exp()  # log of exp(s) / Z; m exp(s) / Z
        y = weights @ v_BHKd
        ctx.save_for_backward(share, weights, mask_B1TK, v_BHKd, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        share, weights, mask, v, y = ctx.saved_tensors
        gain = dy @ v.transpose(-1, -2) - (dy * y).sum(-1, keepdim=True)  # (v_i - y) . dL/dy
        in_full = 1 / ((-share).exp() + (1 - mask))
        d_mask = (in_full * gain).sum(1, keepdim=True)
        d_mask = d_mask * torch.where(d_mask < 0, 1 - mask, mask)
        return weights * gain, d_mask, weights.transpose(-1, -2) @ dy


def counterfactual_attention(score_BHTK: Tensor, mask_B1TK: Tensor, v_BHKd: Tensor) -> Tensor:
    """(B, H, T, d) read with ``mask`` in [0, 1], at least one key of each query above 0.

    ``score`` is -inf where nothing could ever be read (other episodes, absent memories); gradient reaches all others.

    Attention whose gradient also shows what a memory *would* be worth if it could be read.

        y = sum_i m_i exp(s_i) v_i / Z        Z = sum_j m_j exp(s_j)        what `softmax(s + log m)` computes

    The softmax has no gradient where m = 0. Here the gradient to m_i is not the derivative but the slope of the way to
    a memory that is read in full: with m_i = 1 and all else as it is, y becomes exactly

        y + (1 - m_i) c_i (v_i - y)           c_i = exp(s_i) / (Z + (1 - m_i) exp(s_i)),   between 0 and 1

    so m_i gets g_i = c_i (v_i - y) . dL/dy: times 1 - m_i where the loss asks for more of the memory (g_i < 0), times
    m_i where it asks for less, because a mask can neither rise above 1 nor fall below 0. A lesson in forgetting reads
    what acting reads and learns from this that something deleted is missing (`mask.taught_mask`). Scores and
    values get their usual gradient.
    """
    y: Tensor = _Counterfactual.apply(score_BHTK, mask_B1TK, v_BHKd)  # type: ignore[no-untyped-call]
    return y
