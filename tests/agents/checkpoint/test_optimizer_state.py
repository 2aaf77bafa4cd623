"""What an optimizer keeps is checked before it is used, whatever the optimizer."""

from __future__ import annotations

import pytest
import torch

from expirespan.agents.checkpoint.plausible import check_optimizer

SHAPES = [(), (3,), (1,), (3, 2), (2, 3, 1)]
OPTIMIZERS = [
    torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adamax,
    torch.optim.ASGD, torch.optim.Adagrad, torch.optim.Adadelta, torch.optim.Rprop, torch.optim.RMSprop,
]  # fmt: skip


def after_two_steps(kind: type[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in SHAPES]
    optimizer = kind(parameters, lr=0.01)  # type: ignore[call-arg]
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_tensor_has_its_shape_and_is_finite(kind: type[torch.optim.Optimizer]) -> None:
    optimizer = after_two_steps(kind)
    check_optimizer(optimizer)
    for _, kept in optimizer.state.items():
        for name, value in list(kept.items()):
            if not isinstance(value, torch.Tensor):
                continue
            others = {shape for shape in [*SHAPES, (9,)] if shape != tuple(value.shape)}
            wrong = [torch.ones(shape) for shape in others] + [
                torch.full_like(value, x) for x in (torch.nan, torch.inf)
            ]
            for bad in wrong:
                kept[name] = bad
                with pytest.raises(ValueError, match=f"the optimizer's {name} "):
                    check_optimizer(optimizer)
            kept[name] = value
    check_optimizer(optimizer)
