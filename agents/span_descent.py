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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch as th
from torch import nn

from expirespan.memory import ExpireSpan

DAMPING = 1e-3
"""eps."""
KEEP = 0.95
"""Share of the old A in the running mean."""
LARGEST_CHANGE = 0.1
"""A step is shortened so that no z among the inputs changes by more."""
LEAST_FRACTION = 1e-5
"""Spans below this fraction of ``max_span`` are negligible."""
RETURN = 0.1
"""How fast they are drawn back to it, per unit of eta."""


@dataclass
class Readings:
    """Inputs h (..., D) and outputs z (..., 1) of a predictor's calls."""

    inputs: list[th.Tensor] = field(default_factory=list)
    outputs: list[th.Tensor] = field(default_factory=list)


@contextmanager
def recording(modules: Sequence[nn.Module]) -> Iterator[list[Readings]]:
    """Within the block, what goes in and out of each module; outputs keep their graph."""
    readings = [Readings() for _ in modules]

    def watch(module: nn.Module, seen: Readings) -> th.utils.hooks.RemovableHandle:
        def hook(_: nn.Module, args: tuple[th.Tensor, ...], output: th.Tensor) -> None:
            seen.inputs.append(args[0].detach())
            seen.outputs.append(output)

        return module.register_forward_hook(hook)

    hooks = [watch(module, seen) for module, seen in zip(modules, readings, strict=True)]
    try:
        yield readings
    finally:
        for hook in hooks:
            hook.remove()


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

    @th.no_grad()
    def step(self, readings: Readings, grads: Sequence[th.Tensor]) -> None:
        """Move against ``grads``, those of the readings' outputs."""
        h = th.cat([part.flatten(0, -2) for part in readings.inputs])
        h = th.cat([h, h.new_ones(len(h), 1)], 1)
        z = th.cat([part.flatten() for part in readings.outputs])
        grad = th.cat([part.flatten() for part in grads])
        below = z - self.rule.stabilizer * math.log(LEAST_FRACTION / (1 - LEAST_FRACTION))
        grad = th.where(below < 0, grad.clamp(max=0.0) + RETURN * below / len(z), grad)

        moment = h.T @ h / len(h)
        self.moment = moment if self.moment is None else KEEP * self.moment + (1 - KEEP) * moment
        damping = DAMPING * self.moment.diagonal().mean() * th.eye(len(self.moment), device=h.device)
        step = self.step_size * th.linalg.solve(self.moment + damping, h.T @ grad)
        step = step * (LARGEST_CHANGE / (h @ step).abs().max().clamp_min(1e-12)).clamp(max=1.0)
        self.rule.predictor.weight.sub_(step[:-1])
        self.rule.predictor.bias.sub_(step[-1:])
