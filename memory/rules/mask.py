"""The soft mask by which memories fade (Sukhbaatar et al. 2021, arXiv 2105.06548).

    m = clamp(1 + r / R, 0, 1)       r steps that remain, R ``ramp``

Attention weights multiplied by m and normalised again are a softmax over scores + log m; log m is what we add.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

TINY = 1e-30
"""Least span whose logarithm is taken, in steps: a sigmoid can round to 0."""


def soft_mask(remaining: Tensor, ramp: float) -> Tensor:
    """Mask m in [0, 1] of ``remaining`` steps (any shape): 1 within the span, then falling to 0 over ``ramp``."""
    return (1 + remaining / ramp).clamp(0, 1)


def log_mask(mask: Tensor) -> Tensor:
    """Its logarithm, -inf where it is 0 (by filling it in: the log of 0 takes ten times as long as others)."""
    gone = mask == 0
    return mask.masked_fill(gone, 1.0).log_().masked_fill_(gone, -torch.inf)


def log_mask_gradient(mask: Tensor, d_log: Tensor, ramp: float) -> Tensor:
    """Gradient in r from that in log m (``mask``: m): 0 where m is 0 or 1."""
    return torch.where((mask > 0) & (mask < 1), d_log / mask, 0.0) / ramp


class _LogSoftMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, remaining: Tensor, ramp: float) -> Tensor:
        mask = soft_mask(remaining, ramp)
        ctx.save_for_backward(mask)
        ctx.ramp = ramp
        return log_mask(mask)

    @staticmethod
    def backward(ctx: Any, d_log: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return log_mask_gradient(mask, d_log, ctx.ramp), None


def log_soft_mask(remaining: Tensor, ramp: float) -> Tensor:
    """log m of ``remaining`` steps (any shape), ``ramp`` in steps: exactly -inf where m = 0.

    The gradient is 0 there, as where m = 1.
    """
    found: Tensor = _LogSoftMask.apply(remaining, ramp)  # type: ignore[no-untyped-call]
    return found


def taught_mask(span: Tensor, age: Tensor, ramp: float) -> Tensor:
    """Mask m as :func:`soft_mask` gives it, with a gradient to spans of any length.

    Not in the paper. Forward it is exactly what acting reads. Backward it is the distribution function of a Cauchy
    variable in log time, F = 1/2 + atan(log(e / age)) / pi, whose slope in log e is largest at e = age and never 0: a
    memory wanted long after its span has gradient. Used to teach spans (`expirespan.agents.Forgetting`), never to act.
    """
    mask = soft_mask(span - age, ramp).detach()
    slope = torch.atan(span.clamp(min=TINY).log() - age.clamp(min=1).log()) / math.pi
    return mask + (slope - slope.detach()).masked_fill(age == 0, 0.0)


def is_expired(remaining: Tensor, ramp: float) -> Tensor:
    """True where the mask of ``remaining`` steps (any shape) is 0 for good: such a memory can be deleted."""
    return remaining <= -ramp
