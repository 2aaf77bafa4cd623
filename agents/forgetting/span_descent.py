"""How a span predictor, a single linear map z = w . h + b, follows the lesson in forgetting.

Hidden states of one layer share most of their direction: a plain (or Adam) step that shortens the spans of a hundred
corridor frames drags along the one frame that holds the cue. Preconditioning by the inputs' second moment A undoes that
(the input side of K-FAC, Martens and Grosse 2015, arXiv 1503.05671, exact for one output); each kind of
state then moves by its own mean gradient, however rare it is.

    (w, b) <- (w, b) - eta (A + eps tr(A) / n I)^-1 mean_i (h_i, 1) g_i

g_i is the gradient in z_i, except where a span has become negligible: there nothing shortens it further, and it is
drawn back to the limit, because states drift as the policy learns and would carry z to where its sigmoid is flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch as th

from expirespan.agents.workers import Workers
from expirespan.memory import ExpireSpan
from expirespan.memory.core import Reading

DAMPING = 1e-3
"""eps."""
EMA_DECAY = 0.95
"""Share of the old A in the running mean."""
LARGEST_CHANGE = 0.1
"""A step is shortened so that no z among the inputs changes by more."""
LEAST_FRACTION = 1e-5
"""Spans below this fraction of ``max_span`` are negligible."""
PULL_BACK = 0.1
"""How fast they are drawn back to it, per unit of eta."""


class SpanDescent:
    """Steps for the predictor of one rule. ``step_size``: eta."""

    def __init__(self, rule: ExpireSpan, step_size: float) -> None:
        self.rule, self.step_size = rule, step_size
        self.moment: th.Tensor | None = None

    def state_dict(self) -> dict[str, th.Tensor | None]:
        """What it remembers of earlier steps, for a checkpoint."""
        return {"moment": self.moment}

    def load_state_dict(self, state: dict[str, th.Tensor | None]) -> None:
        """Inverse of `state_dict`."""
        moment = state["moment"]
        self.moment = None if moment is None else moment.to(self.rule.predictor.weight)

    def sums(
        self, readings: Sequence[Reading], grads: Sequence[th.Tensor], count: th.Tensor
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """What was read, x = (h, 1), and the sums over it of x x^T and x g; ``count``: memories that all have read."""
        rule, weight = self.rule, self.rule.predictor.weight
        columns = [
            (r.states_BKD.flatten(0, 1), r.span_BK.flatten(), grad_BK.flatten(), r.present_BK.flatten())
            for r, grad_BK in zip(readings, grads, strict=True)
        ]
        h, span, grad, present = (th.cat(parts) for parts in zip(*columns, strict=True))
        h = th.cat([h, h.new_ones(len(h), 1)], 1).to(weight) * present[:, None]
        share = span / rule.max_span
        grad = grad * (rule.max_span * share * (1 - share) / rule.stabilizer)  # times the slope of e in z
        least = math.log(LEAST_FRACTION / (1 - LEAST_FRACTION))
        below = th.logit(share, eps=1e-30) * rule.stabilizer - rule.stabilizer * least
        grad = th.where(below < 0, grad.clamp(max=0.0) + PULL_BACK * below / count, grad)

        return h, h.T @ h, h.T @ grad

    def direction(self, second: th.Tensor, pull: th.Tensor, count: th.Tensor, fine: th.Tensor) -> th.Tensor:
        """The step that the sums of all workers ask for, before it is shortened."""
        moment = second / count
        if self.moment is not None:
            moment = EMA_DECAY * self.moment + (1 - EMA_DECAY) * moment
        self.moment = th.where(fine, moment, 0.0 if self.moment is None else self.moment)
        damping = DAMPING * self.moment.diagonal().mean() * th.eye(len(self.moment), device=second.device)
        step: th.Tensor = self.step_size * th.linalg.solve_ex(self.moment + damping, pull)[0]
        return step

    def move(self, step: th.Tensor, change: th.Tensor, fine: th.Tensor) -> None:
        """Take a step, shortened where the largest ``change`` of a z would be too large."""
        step = step * (LARGEST_CHANGE / change.clamp_min(1e-12)).clamp(max=1.0)
        step = th.where(fine, step, 0.0)
        self.rule.predictor.weight.sub_(step[:-1])
        self.rule.predictor.bias.sub_(step[-1:])


@th.no_grad()
def take_steps(
    descents: Sequence[SpanDescent],
    readings: Sequence[Sequence[Reading]],
    grads: Sequence[Sequence[th.Tensor]],
    counts: Sequence[th.Tensor],
    fine: th.Tensor | bool,
    workers: Workers,
) -> None:
    """Move the predictor of each layer against ``grads``, those of the readings' spans (B, K).

    Columns without a memory count nowhere. Nothing changes where not ``fine``. Computed in the weights' precision, also
    under autocast. All workers take the same step, by two exchanges for all layers.
    """
    if not descents:
        return
    device = descents[0].rule.predictor.weight.device
    fine = th.as_tensor(fine, device=device)
    with th.autocast(device.type, enabled=False):
        found = [d.sums(*given) for d, *given in zip(descents, readings, grads, counts, strict=True)]
        totals = workers.totals([part for _, *parts in found for part in parts])
        seconds, pulls = totals[::2], totals[1::2]
        steps = [
            d.direction(*given, fine) for d, *given in zip(descents, seconds, pulls, counts, strict=True)
        ]
        inputs = [h for h, _, _ in found]
        changes = th.stack([(h @ step).abs().max() for h, step in zip(inputs, steps, strict=True)])
        for descent, step, change in zip(descents, steps, workers.largest(changes), strict=True):
            descent.move(step, change, fine)
