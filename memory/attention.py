"""Attention of a block of queries over memories and the block itself, with gradients written by hand.

    s_ti = (q_t . k_i + q_t . p_(t-i)) / sqrt(d) + log m_ti          p_a a learned vector for each age a < M
    y_t  = sum_i softmax(s_t)_i v_i

PyTorch would keep or make the scores, of size B H T K, several times over. Here only the softmax is kept, the scores by
age are added in place to the few columns that they concern, and the gradient of log m is summed over the heads at once.

`counterfactual_attention` reads the same and has a gradient to what is masked as well, for a lesson in forgetting.

Letters: B environments, H heads, T queries, S memories from before the block, K = S + T keys (and further ones without
relative positions), d width of a head, M positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

IN_CACHE = 1 << 19
"""Scores that a core works on at a time."""


def near_ages(age_BTK: Tensor, S: int, M: int) -> Tensor:
    """Ages (B, N, S + N) of the columns that the first N = min(M - 1, T) queries may read by age, at most M.

    The later queries reach no memory from before the block by their relative position. An age of M stands for none.
    """
    N = min(M - 1, age_BTK.shape[1])
    return age_BTK[:, :N, : S + N].clamp(0, M).long()


def attend(q: Tensor, k: Tensor, v: Tensor, by_age: Tensor, log_mask: Tensor, near: Tensor, S: int) -> Tensor:
    """What each query reads, (B, H, T, d).

    ``q`` (B, H, T, d), ``k`` and ``v`` (B, H, K, d). ``by_age`` (B, H, T, M): q . p_a / sqrt(d). ``log_mask`` (B, 1 or
    H, T, K), -inf where a query must not read. ``near``: of :func:`near_ages`.
    """
    read: Tensor = _Attend.apply(q, k, v, by_age, log_mask, near, S)  # type: ignore[no-untyped-call]
    return read


def scores(q: Tensor, k: Tensor, by_age: Tensor, near: Tensor, S: int) -> Tensor:
    """(B, H, T, K) before any mask; arguments as for :func:`attend`."""
    score: Tensor = _Scores.apply(q, k, by_age, near, S)  # type: ignore[no-untyped-call]
    return score


def _flat(x: Tensor) -> Tensor:
    """(B, H, ...) -> (B H, ...)."""
    return x.reshape(-1, *x.shape[2:])


def _band(score: Tensor, S: int, M: int) -> Tensor:
    """View (B, H, T - M + 1, M) of a contiguous score: row i is query M - 1 + i, its columns are ages M - 1 to 0."""
    B, H, T, K = score.shape
    rows = max(T - M + 1, 0)
    begin = score.flatten(2)[:, :, (M - 1) * K + S :]
    return begin.as_strided((B, H, rows, M), (H * T * K, T * K, K + 1, 1))


def _add_by_age(score: Tensor, by_age: Tensor, near: Tensor, S: int) -> Tensor:
    """Add the scores by age in place."""
    M, N = by_age.shape[-1], near.shape[1]
    if N:
        picked = F.pad(by_age[:, :, :N], (0, 1)).gather(-1, near[:, None].expand(-1, by_age.shape[1], -1, -1))
        score[:, :, :N, : near.shape[2]] += picked
    _band(score, S, M).add_(by_age[:, :, M - 1 :].flip(-1))
    return score


def _of_ages(d_score: Tensor, near: Tensor, S: int, M: int) -> Tensor:
    """Gradient in the scores by age, (B, H, T, M), from that in the scores."""
    B, H, N = *d_score.shape[:2], near.shape[1]
    later = _band(d_score, S, M).flip(-1)
    if not N:
        return later
    first = d_score.new_zeros(B, H, N, M + 1)
    first.scatter_add_(-1, near[:, None].expand(-1, H, -1, -1), d_score[:, :, :N, : near.shape[2]])
    return torch.cat([first[..., :M], later], 2)


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, by_age: Tensor, near: Tensor, S: int) -> Tensor:
        ctx.save_for_backward(q, k, near)
        ctx.S, ctx.M = S, by_age.shape[-1]
        return _scores(q, k, by_age, near, S)

    @staticmethod
    def backward(ctx: Any, d_score: Tensor) -> tuple[Tensor | None, ...]:
        q, k, near = ctx.saved_tensors
        d_score = d_score.contiguous()
        return *_of_products(d_score, q, k), _of_ages(d_score, near, ctx.S, ctx.M), None, None


def _scores(q: Tensor, k: Tensor, by_age: Tensor, near: Tensor, S: int) -> Tensor:
    score = torch.bmm(_flat(q) / math.sqrt(q.shape[-1]), _flat(k).transpose(1, 2)).view(*q.shape[:3], -1)
    return _add_by_age(score, by_age, near, S)


def _of_products(d_score: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in q and k from that in the scores."""
    scale, flat = 1 / math.sqrt(q.shape[-1]), _flat(d_score)
    dq = torch.bmm(flat, _flat(k) * scale).view(q.shape)
    return dq, torch.bmm(flat.transpose(1, 2), _flat(q) * scale).view(k.shape)


class _Attend(torch.autograd.Function):
    """A few rows at a time, so that scores stay in the processor's cache."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, by_age: Tensor, log_mask: Tensor, near: Tensor, S: int
    ) -> Tensor:
        size = _rows_in_cache(q, k)
        parts = zip(*(x.split(size) for x in (q, k, v, by_age, log_mask, near)), strict=True)
        ys, kept = [], []
        for part_q, part_k, part_v, part_by_age, part_mask, part_near in parts:
            score = _scores(part_q, part_k, part_by_age, part_near, S).add_(part_mask)
            kept.append(torch.softmax(score, -1))
            ys.append(torch.bmm(_flat(kept[-1]), _flat(part_v)).view(part_q.shape))
        ctx.save_for_backward(q, k, v, near, *kept)
        ctx.size, ctx.S, ctx.M, ctx.mask_heads = size, S, by_age.shape[-1], log_mask.shape[1]
        return _joined(ys)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, near, *kept = ctx.saved_tensors
        parts = zip(*(x.split(ctx.size) for x in (q, k, v, near, dy)), kept, strict=True)
        grads = []
        for part_q, part_k, part_v, part_near, part_dy, weights in parts:
            flat, flat_dy = _flat(weights), _flat(part_dy)
            dv = torch.bmm(flat.transpose(1, 2), flat_dy).view(part_v.shape)
            d_weights = torch.bmm(flat_dy, _flat(part_v).transpose(1, 2))
            d_score = torch._softmax_backward_data(d_weights, flat, -1, flat.dtype).view(weights.shape)
            d_mask = d_score
            if ctx.needs_input_grad[4] and ctx.mask_heads < weights.shape[1]:
                d_mask = d_score.sum(1, keepdim=True)
            products = _of_products(d_score, part_q, part_k)
            grads.append((*products, dv, _of_ages(d_score, part_near, ctx.S, ctx.M), d_mask))
        *four, d_mask = map(_joined, zip(*grads, strict=True))
        return *four, d_mask if ctx.needs_input_grad[4] else None, None, None


def _rows_in_cache(q: Tensor, k: Tensor) -> int:
    """Rows to compute together."""
    B, H, T, _ = q.shape
    return max(1, IN_CACHE // (H * T * k.shape[2])) if q.device.type == "cpu" else max(1, B)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def weights(q: Tensor, k: Tensor, by_age: Tensor, log_mask: Tensor, near: Tensor, S: int) -> Tensor:
    """The attention weights (B, H, T, K), for people."""
    return torch.softmax(scores(q, k, by_age, near, S) + log_mask, -1)


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
    what acting reads and learns from this that something deleted is missing (`expire_span.taught_mask`). Scores and
    values get their usual gradient.
    """
    y: Tensor = _Counterfactual.apply(score_BHTK, mask_B1TK, v_BHKd)  # type: ignore[no-untyped-call]
    return y
