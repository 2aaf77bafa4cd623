"""A step that must not be taken changes nothing, whatever the gradient; one that may is the optimiser's own."""

import copy

import pytest
import torch as th

from expirespan.agents.core.optimizers import FAST, masked_step, step_if

KINDS = [
    (th.optim.Adam, {"fused": True}),
    (th.optim.Adam, {}),
    (th.optim.AdamW, {"fused": True, "weight_decay": 0.1}),
    (th.optim.RMSprop, {"foreach": True, "momentum": 0.5}),
    (th.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
]


def trained(kind, kwargs):
    """Two weights after three steps."""
    th.manual_seed(0)
    weights = [th.nn.Parameter(th.randn(3, 2)), th.nn.Parameter(th.randn(2))]
    optimizer = kind(weights, lr=0.1, **kwargs)
    for _ in range(3):
        give_gradient(weights, 1.0)
        optimizer.step()
    return weights, optimizer


def give_gradient(weights, scale):
    for weight in weights:
        weight.grad = scale * th.ones_like(weight)


def everything(weights, optimizer):
    return [w.detach().clone() for w in weights], copy.deepcopy(optimizer.state_dict()["state"])


@pytest.mark.parametrize(("kind", "kwargs"), KINDS)
@pytest.mark.parametrize("step", [step_if, masked_step])
@pytest.mark.parametrize("scale", [1.0, th.nan, th.inf])
def test_a_step_that_is_not_fine_changes_nothing(kind, kwargs, step, scale):
    weights, optimizer = trained(kind, kwargs)
    before = everything(weights, optimizer)
    give_gradient(weights, scale)
    step(optimizer, th.tensor(False))
    th.testing.assert_close(everything(weights, optimizer), before, rtol=0, atol=0)


@pytest.mark.parametrize(("kind", "kwargs"), KINDS)
@pytest.mark.parametrize("step", [step_if, masked_step])
def test_a_fine_step_is_the_optimisers_own(kind, kwargs, step):
    weights, optimizer = trained(kind, kwargs)
    others, plain = trained(kind, kwargs)
    for _ in range(2):
        give_gradient(weights, 0.5)
        give_gradient(others, 0.5)
        step(optimizer, th.tensor(True))
        plain.step()
    th.testing.assert_close(everything(weights, optimizer), everything(others, plain), rtol=0, atol=0)


@pytest.mark.parametrize("kind", FAST)
def test_the_fast_variants_compute_the_same(kind):
    (fast, _), (plain, _) = trained(kind, FAST[kind]), trained(kind, {})
    th.testing.assert_close(fast, plain)
