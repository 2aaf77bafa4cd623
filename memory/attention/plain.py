"""Attention over memories that expire in PyTorch, for any device: the reference for the other ways to compute it.

    s_ti = q_t . k_i / sqrt(d) + near_t,age         age = t - place_i; near for the ages below M
    m_ti = clamp(1 + (reach_i - age) / ramp, 0, 1)  0 where `Sight` hides the key
    y_t  = sum_i softmax(s_t + log m_t)_i v_i

Going back, the weights are made again from log sum_j m_tj exp(s_tj), so that nothing of size B H T K is kept.

Letters: B environments, H heads, T queries, S keys from before the block, K keys, d width of a head, M positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from expirespan.memory.attention.sight import Sight
from expirespan.memory.rules.mask import log_mask, log_mask_gradient, soft_mask

IN_CACHE = 1 << 19
"""Scores that a core works on at a time."""


class Inputs(NamedTuple):
    """``q`` (B, T, H, d), ``k`` and ``v`` (B, K, H, d); ``near`` (B, T, H, M): scores by age; ``reach`` (B, 1 or H, K),
    in 32 bits or more, at most `LONGEST`.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    near: Tensor
    reach: Tensor
    sight: Sight
    ramp: float

    def parts(self) -> Iterator[tuple[slice, Inputs]]:
        """A few rows at a time, so that scores stay in the processor's cache."""
        B, T, H, _ = self.q.shape
        size = max(1, IN_CACHE // max(H * T * self.k.shape[1], 1)) if self.q.device.type == "cpu" else B
        if size >= B:
            yield slice(None), self
            return
        for first in range(0, B, size):
            rows = slice(first, first + size)
            place, begin, youngest, before = self.sight
            sight = Sight(place[rows], begin[rows], None if youngest is None else youngest[rows], before)
            q, k, v, near, reach = (x[rows] for x in self[:5])
            yield rows, Inputs(q, k, v, near, reach, sight, self.ramp)


class StepInputs(NamedTuple):
    """One step of acting in one layer, in which each environment has one query and C slots.

    ``p`` (B, 3 H d + H (M + 1)): query / sqrt(d), key, value and the query's scores by age, that of all that is older
    last. ``x`` (B, D): the state to keep. The store, written to ``slot``: ``h`` (B, C, D), ``k`` (B, H, d, C), ``v``
    (B, H, C, d). ``birth`` (B, C), before the step, `ABSENT` where there is none; ``time`` (B,); ``forget`` (B,):
    what was there before is gone. ``read``, ``keep`` (B, 1 or H, C): reaches, of the new memory too, by which memories
    are read and deleted; None for the same.
    """

    p: Tensor
    x: Tensor
    h: Tensor
    k: Tensor
    v: Tensor
    slot: int
    birth: Tensor
    time: Tensor
    forget: Tensor
    read: Tensor
    keep: Tensor | None
    ramp: float
    M: int


def forward(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """y (B, T, H, d) and log sum_j m_tj exp(s_tj), (B, H, T)."""
    q, v = inputs.q, inputs.v
    B, T, H, _ = q.shape
    y, log_total = q.new_empty(q.shape), q.new_empty(B, H, T)
    for rows, part in inputs.parts():
        score, _, _ = _masked_scores(part)
        log_total[rows] = torch.logsumexp(score, -1)
        weights = torch.softmax(score, -1)
        y[rows] = (weights @ v[rows].transpose(1, 2)).transpose(1, 2)
    return y, log_total


def backward(inputs: Inputs, y: Tensor, log_total: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
    """Gradients in q, k, v, near and reach."""
    grads = [x.new_empty(x.shape) for x in inputs[:5]]
    for rows, part in inputs.parts():
        for grad, own in zip(grads, _backward(part, y[rows], log_total[rows], dy[rows]), strict=True):
            grad[rows] = own
    return tuple(grads)


def _backward(inputs: Inputs, y: Tensor, log_total: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
    q, k, v, near, reach, sight, ramp = inputs
    score, mask, positions = _masked_scores(inputs)
    weights = (score - log_total[..., None]).exp_()
    q, k, v, dy = (x.transpose(1, 2) for x in (q, k, v, dy))
    dv = weights.transpose(2, 3) @ dy
    mean = (y.transpose(1, 2) * dy).sum(-1, keepdim=True)
    d_score = (dy @ v.transpose(2, 3)).sub_(mean).mul_(weights)
    dq, dk = _of_products(d_score, q, k)
    d_near = _of_ages(d_score, positions, sight.before, near.shape[-1])
    d_log = d_score.sum(1, keepdim=True) if reach.shape[1] == 1 else d_score
    d_reach = log_mask_gradient(mask, d_log, ramp).sum(2)
    return *(x.transpose(1, 2) for x in (dq, dk, dv, d_near)), d_reach


def step(q: Tensor, k: Tensor, v: Tensor, near: Tensor, mask: Tensor, age: Tensor) -> Tensor:
    """What the only query of each environment reads of C slots, (B, H, d).

    ``q`` (B, H, d), divided by sqrt(d); ``k`` (B, H, d, C) and ``v`` (B, H, C, d); ``near`` (B, H, M + 1): scores by
    age, that of all that is older last; ``mask`` m (B, 1 or H, C); ``age`` (B, C), at most M.
    """
    return (step_weights(q, k, near, mask, age)[:, :, None] @ v)[:, :, 0]


def step_weights(q: Tensor, k: Tensor, near: Tensor, mask: Tensor, age: Tensor) -> Tensor:
    """Attention of `step`, (B, H, C)."""
    by_age = near.gather(-1, age[:, None].expand(-1, q.shape[1], -1))
    score = torch.baddbmm(
        (by_age + mask.log()).flatten(0, 1)[:, None], q.flatten(0, 1)[:, None], k.flatten(0, 1)
    )
    return torch.softmax(score, -1).view(by_age.shape)


def _masked_scores(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """s + log m (B, H, T, K), m (B, 1 or H, T, K) and the ages of `Sight.positions`."""
    score, age_BTK, positions = _scores(inputs)
    mask = _mask(inputs, age_BTK)
    return score.add_(log_mask(mask)), mask, positions


def _mask(inputs: Inputs, age_BTK: Tensor) -> Tensor:
    return soft_mask(inputs.reach[:, :, None] - age_BTK[:, None], inputs.ramp)


def _scores(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """s (B, H, T, K), ages (B, T, K) and those of `Sight.positions`."""
    q, k, near, sight = inputs.q, inputs.k, inputs.near, inputs.sight
    age_BTK = sight.ages(inputs.reach.dtype)
    positions = sight.positions(age_BTK, near.shape[-1])
    score = (q.transpose(1, 2) / math.sqrt(q.shape[-1])) @ k.permute(0, 2, 3, 1)
    return _add_by_age(score, near.transpose(1, 2), positions, sight.before), age_BTK, positions


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, near: Tensor, inputs: Inputs) -> Tensor:
        score, _, positions = _scores(inputs)
        ctx.save_for_backward(q, k, positions)
        ctx.S, ctx.M = inputs.sight.before, near.shape[-1]
        return score

    @staticmethod
    def backward(ctx: Any, d_score: Tensor) -> tuple[Tensor | None, ...]:
        q, k, positions = ctx.saved_tensors
        d_score = d_score.contiguous()
        dq, dk = _of_products(d_score, q.transpose(1, 2), k.transpose(1, 2))
        d_near = _of_ages(d_score, positions, ctx.S, ctx.M)
        return dq.transpose(1, 2), dk.transpose(1, 2), d_near.transpose(1, 2), None


def scores(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """s with its gradient, before any mask, and ages (B, T, K)."""
    score: Tensor = _Scores.apply(inputs.q, inputs.k, inputs.near, inputs)  # type: ignore[no-untyped-call]
    return score, inputs.sight.ages(inputs.reach.dtype)


def weights(inputs: Inputs) -> Tensor:
    """The attention weights (B, H, T, K), for people."""
    return torch.softmax(_masked_scores(inputs)[0], -1)


def _of_products(d_score: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in q and k, (B, H, ., d), from that in the scores."""
    scale = 1 / math.sqrt(q.shape[-1])
    return d_score @ (k * scale), d_score.transpose(2, 3) @ (q * scale)


def _band(score: Tensor, S: int, M: int) -> Tensor:
    """View (B, H, T - M + 1, M) of a contiguous score: row i is query M - 1 + i, its columns are ages M - 1 to 0."""
    B, H, T, K = score.shape
    rows = max(T - M + 1, 0)
    begin = score.flatten(2)[:, :, (M - 1) * K + S :]
    return begin.as_strided((B, H, rows, M), (H * T * K, T * K, K + 1, 1))


def _add_by_age(score: Tensor, near: Tensor, positions: Tensor, S: int) -> Tensor:
    """Add the scores by age, (B, H, T, M), in place: to the few columns that they concern."""
    M, N = near.shape[-1], positions.shape[1]
    if N:
        picked = F.pad(near[:, :, :N], (0, 1)).gather(
            -1, positions[:, None].expand(-1, near.shape[1], -1, -1)
        )
        score[:, :, :N, : positions.shape[2]] += picked
    _band(score, S, M).add_(near[:, :, M - 1 :].flip(-1))
    return score


def _of_ages(d_score: Tensor, positions: Tensor, S: int, M: int) -> Tensor:
    """Gradient in the scores by age, (B, H, T, M), from that in the scores."""
    B, H, N = *d_score.shape[:2], positions.shape[1]
    later = _band(d_score, S, M).flip(-1)
    if not N:
        return later
    first = d_score.new_zeros(B, H, N, M + 1)
    first.scatter_add_(-1, positions[:, None].expand(-1, H, -1, -1), d_score[:, :, :N, : positions.shape[2]])
    return torch.cat([first[..., :M], later], 2)
