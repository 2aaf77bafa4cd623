"""Expire-Span: every memory is given, when it is written, the number of steps it will live.

Sukhbaatar et al. 2021, "Not All Memories are Created Equal: Learning to Forget by Expiring",
arXiv 2105.06548. The mathematics is in the functions below; `ExpireSpan` joins them to the one linear map
that it learns.

    e_i  = L sigmoid((w . h_i + b) / k)          expiration
    r_ti = e_i - (t - i)                         remaining
    m_ti = clamp(1 + r_ti / R, 0, 1)             soft mask
    loss = alpha mean_i e_i                      penalty (eq. 7)

h_i state written at step i, t the step that reads, L ``max_span``, R ``ramp``, k ``stabilizer``.
Attention weights multiplied by m and normalised again are a softmax over scores + log m; log m is what we add.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from expirespan.memory.rule import FAR, Rule, require

TINY = 1e-30
"""Least span whose logarithm is taken, in steps: a sigmoid can round to 0."""


def expiration(logit: Tensor, max_span: float, stabilizer: float = 1.0) -> Tensor:
    """Expiration e in steps, within [0, max_span], from the predictor's output (any shape), in 32 bits or more."""
    logit = logit.to(torch.promote_types(logit.dtype, torch.float32))  # bfloat16 cannot count beyond 256
    return max_span * torch.sigmoid(logit if stabilizer == 1 else logit / stabilizer)


def soft_mask(remaining: Tensor, ramp: float) -> Tensor:
    """Mask m in [0, 1]: 1 while the span lasts, then falling to 0 over ``ramp`` steps."""
    return (1 + remaining / ramp).clamp(0, 1)


class _LogSoftMask(torch.autograd.Function):
    """log m of spans and ages of shapes that fit: as the functions above, with fewer passes over what is large."""

    @staticmethod
    def forward(ctx: Any, span: Tensor, age: Tensor | float, ramp: float) -> Tensor:
        mask = (span - age).mul_(1 / ramp).add_(1).clamp_(0, 1)
        ctx.save_for_backward(mask)
        ctx.shape, ctx.ramp = span.shape, ramp
        return (
            mask.clamp(min=TINY).log_().masked_fill_(mask == 0, -torch.inf)
        )  # the log of 0 takes ten times as long

    @staticmethod
    def backward(ctx: Any, d_log: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        fading = (mask > 0) & (mask < 1)
        slope = torch.where(fading, d_log / mask, 0.0)
        return slope.sum_to_size(ctx.shape) / ctx.ramp, None, None


def log_soft_mask(remaining: Tensor, ramp: float) -> Tensor:
    """log m: exactly -inf where m = 0, and there, as where m = 1, with gradient 0."""
    log_mask: Tensor = _LogSoftMask.apply(remaining, 0.0, ramp)  # type: ignore[no-untyped-call]
    return log_mask


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
    """True where the mask is 0 now and at every later step: such a memory can be deleted."""
    return remaining <= -ramp


def mean_span(
    span_BK: Tensor, age_BTK: Tensor, visible_BTK: Tensor, ramp: float, kind: Literal["all", "ramp"] = "all"
) -> Tensor:
    """Mean span in steps of the T states written last (the final T keys): the price of remembering, a scalar.

    ``all`` (paper, eq. 7): the mean of e_i over those states. ``ramp`` (what the authors' experiments
    penalise): the sum over readers t of e_i / R, counted only while memory i, also one from before the block, is
    on its ramp, per state written. A memory that passes through its whole ramp counts its e_i in both.
    """
    T = age_BTK.shape[1]
    if kind == "all":
        return span_BK[:, -T:].mean()
    span_B1K = span_BK.unsqueeze(1)
    remaining_BTK = span_B1K.detach() - age_BTK
    on_ramp = visible_BTK & (remaining_BTK < 0) & (remaining_BTK > -ramp)
    return (span_B1K * on_ramp).sum() / (ramp * T * span_BK.shape[0])


class ExpireSpan(Rule):
    """Each state predicts its own span, one per layer and shared by its heads.

    ``max_span``: L, longest span in steps. May be raised after training: what was judged irrelevant still dies
    soon, what was kept lives longer in proportion.
    ``ramp``: R > 0, steps over which an expired memory fades. Every memory is read for at least R steps.
    ``init_fraction``: spans start at this fraction of ``max_span`` for every input (w = 0), within (0, 1).
    ``stabilizer``: k > 0, divides the predictor's output; the paper uses R for very large L.
    ``penalty``: "all" (paper) or "ramp", see :func:`mean_span`.
    ``random_span``: in training, read every block as if spans were at most l ~ U(0, L) (paper, section on
    regularisation); the agent or training loop draws l with ``TransformerMemory.shorten``.
    """

    elementwise = True

    def __init__(
        self,
        max_span: float,
        ramp: float = 16,
        init_fraction: float = 0.9,
        stabilizer: float = 1.0,
        penalty: Literal["all", "ramp"] = "all",
        random_span: bool = False,
    ) -> None:
        super().__init__()
        require(0 < max_span < math.inf, "max_span", max_span, "a finite number of steps > 0")
        require(0 < ramp < math.inf, "ramp", ramp, "a finite number of steps > 0 (near 0 is a hard cut)")
        require(0 < init_fraction < 1, "init_fraction", init_fraction, "within (0, 1), both ends excluded")
        require(0 < stabilizer < math.inf, "stabilizer", stabilizer, "a finite number > 0")
        require(penalty in ("all", "ramp"), "penalty", penalty, "'all' or 'ramp'")
        self.max_span, self.ramp, self.stabilizer = float(max_span), float(ramp), float(stabilizer)
        self.init_fraction, self.penalty_kind, self.random_span = init_fraction, penalty, random_span
        self.predictor = nn.Linear(1, 1)  # resized by attach

    def attach(self, width: int, heads: int = 1) -> None:
        """Create w = 0 and b such that every span starts at ``init_fraction`` of ``max_span``."""
        self.predictor = nn.Linear(width, 1)
        nn.init.zeros_(self.predictor.weight)
        odds = self.init_fraction / (1 - self.init_fraction)
        nn.init.constant_(self.predictor.bias, self.stabilizer * math.log(odds))

    def span_parameters(self) -> list[nn.Parameter]:
        """Of the predictor."""
        return list(self.predictor.parameters())

    def spans(self, h_BSD: Tensor) -> Tensor:
        """e (B, S)."""
        return expiration(self.predictor(h_BSD).squeeze(-1), self.max_span, self.stabilizer)

    def log_mask(self, span: Tensor, age: Tensor) -> Tensor:
        """log m."""
        if not torch.is_grad_enabled():
            return soft_mask(span - age, self.ramp).log_()
        log_mask: Tensor = _LogSoftMask.apply(span, age, self.ramp)  # type: ignore[no-untyped-call]
        return log_mask

    def expired(self, span: Tensor, age: Tensor) -> Tensor:
        """Past the end of the ramp."""
        return is_expired(span - age, self.ramp)

    def span_cost(self, span_BK: Tensor, age_BTK: Tensor) -> Tensor:
        """Mean span, see :func:`mean_span`."""
        visible = age_BTK < FAR if self.penalty_kind == "ramp" else age_BTK
        return mean_span(span_BK, age_BTK, visible, self.ramp, self.penalty_kind)
