"""Expire-Span: every memory is given, when it is written, the number of steps it will live.

Sukhbaatar et al. 2021, "Not All Memories are Created Equal: Learning to Forget by Expiring",
arXiv 2105.06548. The mathematics is in the functions below; `ExpireSpan` joins them to the one linear map
that it learns.

    e_i  = L sigmoid((w . h_i + b) / k)          expiration
    r_ti = e_i - (t - i)                         remaining
    m_ti = clamp(1 + r_ti / R, 0, 1)             soft mask (`mask.py`)
    loss = alpha mean_i e_i                      penalty (eq. 7)

    e_i f^clamp(log_4(e_i / R), 0, 1)            long spans f times as long, after training; ours (`stretched`)

h_i state written at step i, t the step that reads, L ``max_span``, R ``ramp``, k ``stabilizer``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from expirespan.memory.rules.rule import FAR, Rule
from expirespan.parameters import InitFraction, MaxSpan, Ramp, Stabilizer
from expirespan.ranges import checked


def expiration(logit: Tensor, max_span: float, stabilizer: float = 1.0) -> Tensor:
    """Expiration e in steps, within [0, max_span], from the predictor's output (any shape), in 32 bits or more."""
    logit = logit.to(torch.promote_types(logit.dtype, torch.float32))  # bfloat16 cannot count beyond 256
    return max_span * torch.sigmoid(logit if stabilizer == 1 else logit / stabilizer)


def stretched(span: Tensor, ramp: float, factor: float) -> Tensor:
    """Spans in steps of which the long ones are ``factor`` f >= 1 times as long: e up to R, e f from 4 R on.

    Between them the exponent of f grows with the logarithm of e: e f^clamp(log_4(e / R), 0, 1), which grows with e.
    """
    if factor == 1:
        return span
    return span * factor ** ((span / ramp).clamp(1, 4).log() / math.log(4))


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

    @checked
    def __init__(
        self,
        max_span: MaxSpan,
        ramp: Ramp = 16,
        init_fraction: InitFraction = 0.9,
        stabilizer: Stabilizer = 1.0,
        penalty: Literal["all", "ramp"] = "all",
        random_span: bool = False,
    ) -> None:
        super().__init__()
        self.ramp, self.max_span, self.stabilizer = float(ramp), float(max_span), float(stabilizer)
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
        logit_BS, trained = self.predictor(h_BSD).squeeze(-1), self.max_span / self.stretch
        return stretched(expiration(logit_BS, trained, self.stabilizer), self.ramp, self.stretch)

    def span_cost(self, span_BK: Tensor, steps: int, ages: Callable[[], Tensor]) -> Tensor:
        """Mean span, see :func:`mean_span`."""
        if self.penalty_kind == "all":
            return span_BK[:, -steps:].mean()
        age_BTK = ages()
        return mean_span(span_BK, age_BTK, age_BTK < FAR, self.ramp, "ramp")
