"""AdaptiveSpan: every attention head learns how far back it reads, whatever the memories hold.

Sukhbaatar et al. 2019, "Adaptive Attention Span in Transformers", arXiv 1905.07799, section 3.

    m_h(x) = clamp((R + z_h - x) / R, 0, 1)      soft mask of head h at age x (eq. 1)
    loss   = alpha mean_h z_h                    penalty (eq. 3)

R is the ``ramp``, z_h the reach of head h in steps. The mask is Expire-Span's, with a span that belongs to the head
that reads and not to the memory. A memory lives until it is past the reach of every head, so the cache is trimmed to
the longest.

Deviations: z_h = L sigmoid(b_h), which stays within [0, L] without clipping weights after each update (the paper uses
the sigmoid where spans depend on the input); reaches begin long rather than at 0, because a cue outside them gives no
gradient by which they could grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from expirespan.memory.rules.expire_span import expiration, stretched
from expirespan.memory.rules.rule import Rule
from expirespan.parameters import InitFraction, MaxSpan, Ramp
from expirespan.ranges import checked


class AdaptiveSpan(Rule):
    """Each head of each layer has its own soft reach.

    ``max_span``: L, longest reach in steps. ``ramp``: R > 0, steps over which a memory past the reach fades.
    ``init_fraction``: reaches start at this fraction of ``max_span``, within (0, 1).
    """

    @checked
    def __init__(self, max_span: MaxSpan, ramp: Ramp = 16, init_fraction: InitFraction = 0.9) -> None:
        super().__init__()
        self.ramp, self.max_span, self.init_fraction = float(ramp), float(max_span), init_fraction
        self.attach(width=1)

    def attach(self, width: int, heads: int = 1) -> None:
        """Create b such that every reach starts at ``init_fraction`` of ``max_span``."""
        odds = self.init_fraction / (1 - self.init_fraction)
        self.reach_logit = nn.Parameter(torch.full((heads,), math.log(odds)))

    def span_parameters(self) -> list[nn.Parameter]:
        """b."""
        return [self.reach_logit]

    def reaches(self) -> Tensor:
        """z (H,), in steps."""
        return stretched(expiration(self.reach_logit, self.max_span / self.stretch), self.ramp, self.stretch)

    def spans(self, h_BSD: Tensor) -> Tensor:
        """The longest reach, for all."""
        return self.reaches().max().detach().expand(h_BSD.shape[:-1])

    layers_agree = False

    def reach(self, span_BK: Tensor) -> Tensor:
        """That of every head.

        ``span`` is the longest reach unless the state alters it: if shorter, no head reads farther; if longer, all
        read as much farther.
        """
        z_H1 = self.reaches()[:, None]
        longest, span_B1K = z_H1.detach().max(), span_BK[:, None]
        return torch.where(span_B1K < z_H1, span_B1K, z_H1) + (span_B1K - longest).clamp(min=0)

    def span_cost(self, span_BK: Tensor, steps: int, ages: Callable[[], Tensor]) -> Tensor:
        """Mean reach of the heads."""
        return self.reaches().mean()
