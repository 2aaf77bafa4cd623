"""Optimisers: those that take all weights at once, and a step that is not taken where a loss is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch as th

FAST: dict[type[th.optim.Optimizer], dict[str, Any]] = {
    th.optim.Adam: {"fused": True},
    th.optim.AdamW: {"fused": True},
    th.optim.RMSprop: {"foreach": True},
}
"""Arguments with which an optimiser takes all weights at once, unless ``optimizer_kwargs`` say otherwise."""


def make_optimizer(
    kind: type[th.optim.Optimizer],
    kwargs: dict[str, Any],
    parameters: Sequence[th.nn.Parameter],
    lr: float,
    predictors: Sequence[th.nn.Parameter],
    predictor_lr: float,
) -> th.optim.Optimizer:
    """Optimiser of all ``parameters``; those of ``predictors`` learn at ``predictor_lr`` times the rate ``lr``."""
    groups: list[Any] = list(parameters)
    if predictor_lr != 1.0 and predictors:
        chosen = {id(p) for p in predictors}
        rest = [p for p in parameters if id(p) not in chosen]
        groups = [
            {"params": rest, "lr": lr, "lr_scale": 1.0},
            {"params": list(predictors), "lr": lr * predictor_lr, "lr_scale": predictor_lr},
        ]
    return kind(groups, lr=lr, **FAST.get(kind, {}) | kwargs)  # type: ignore[call-arg]


def step_if(optimizer: th.optim.Optimizer, fine: th.Tensor) -> None:
    """One step if ``fine`` (bool, on the weights' device), otherwise none; the host does not wait for a GPU to know."""
    if fine.device.type != "cpu":
        masked_step(optimizer, fine)
    elif fine:
        optimizer.step()


def masked_step(optimizer: Any, fine: th.Tensor) -> None:
    """One step, after which weights and the optimiser's state are as before if not ``fine``, whatever the gradient.

    What the optimiser keeps on the host while ``fine`` is on a GPU, such as a count of steps, goes on: to know better,
    the host would have to wait.
    """
    if all(group.get("fused") for group in optimizer.param_groups):
        optimizer.grad_scale, optimizer.found_inf = None, (~fine).float()
        optimizer.step()
        del optimizer.grad_scale, optimizer.found_inf
        return
    weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    before = [p.detach().clone() for p in weights]
    known = {
        (p, name): value.clone()
        for p in weights
        for name, value in optimizer.state[p].items()
        if isinstance(value, th.Tensor)
    }
    optimizer.step()
    with th.no_grad():
        for p, old in zip(weights, before, strict=True):
            p.copy_(th.where(fine, p, old))
            for name, value in optimizer.state[p].items():
                if isinstance(value, th.Tensor) and value.device == fine.device:
                    old = known.get((p, name), th.zeros_like(value))
                    value.copy_(th.where(fine, value, old))
