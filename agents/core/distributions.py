"""Action distributions as numbers: probabilities or means, and the divergence between two of them."""

from __future__ import annotations

import copy
from typing import Any

import torch as th
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    Distribution,
    MultiCategoricalDistribution,
)
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence
from torch.nn.functional import logsigmoid

from expirespan.agents.workers import Part


def drawn(distribution: Distribution, deterministic: bool, part: Part | None) -> th.Tensor:
    """Actions, drawn or the most likely ones.

    ``part``: which of the environments of all workers the rows are. Actions are then drawn for all, with as many random
    numbers as a single process draws, and each environment gets its own. None for no others.
    """
    if part is None or part.weight == 1 or deterministic:
        return distribution.get_actions(deterministic=deterministic)
    every = copy.copy(distribution)
    own: Any = distribution.distribution
    parts = [_repeated(one, part.total) for one in (own if isinstance(own, list) else [own])]
    every.distribution = parts if isinstance(own, list) else parts[0]  # type: ignore[assignment]
    actions: th.Tensor = every.get_actions()[part.rows]
    return actions


def _repeated(given: Any, total: int) -> Any:
    """A distribution with every row repeated, ``total`` rows in all."""
    names = {Categorical: ("logits",), Bernoulli: ("logits",), Normal: ("loc", "scale")}[type(given)]
    values = {name: getattr(given, name) for name in names}
    repeated = {name: value.repeat_interleave(total // len(value), 0) for name, value in values.items()}
    return type(given)(**repeated, validate_args=False)


def probabilities(distribution: Distribution) -> th.Tensor:
    """(n, A) for n actions: the probability of every choice, side by side for the parts of a MultiDiscrete.

    Of bits, the probability of each to be 1. Of continuous actions, their means (of squashed ones, the squashed mean).
    """
    own: Any = distribution.distribution
    if isinstance(distribution, MultiCategoricalDistribution):
        return th.cat([part.probs for part in own], -1)
    if isinstance(distribution, CategoricalDistribution | BernoulliDistribution):
        given: th.Tensor = own.probs
        return given
    return distribution.mode()


def divergence(p: Distribution, q: Distribution) -> th.Tensor:
    """(n,) KL(p || q) in nats, of each of n actions as a whole. Finite also where q rounds a probability to 0.

    The Kullback-Leibler divergence: sum_a p(a) log(p(a) / q(a)), over the parts of an action as well.

    PyTorch's own for categories indexes by a mask, for which a host waits for a GPU.
    """
    a: Any = p.distribution
    b: Any = q.distribution
    if isinstance(p, MultiCategoricalDistribution):
        return th.stack([_of_categories(x, y) for x, y in zip(a, b, strict=True)]).sum(0)
    if isinstance(p, CategoricalDistribution):
        return _of_categories(a, b)
    if isinstance(p, BernoulliDistribution):
        on = a.probs * (logsigmoid(a.logits) - logsigmoid(b.logits))
        off = (1 - a.probs) * (logsigmoid(-a.logits) - logsigmoid(-b.logits))
        both: th.Tensor = (on + off).sum(-1)
        return both
    return kl_divergence(a, b).sum(-1)


def _of_categories(a: Any, b: Any) -> th.Tensor:
    return th.where(a.probs > 0, a.probs * (a.logits - b.logits), 0.0).sum(-1)
