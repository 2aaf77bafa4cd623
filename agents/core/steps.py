"""Results of policies, and the shapes of observations and actions at input and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import BasePolicy
from torch.distributions import Distribution as TorchDistribution

from expirespan.agents.base.spaces import as_elements
from expirespan.agents.core.buffer import Observation
from expirespan.memory import MemoryOutput, MemoryState, Trace


class PolicyStep(NamedTuple):
    """One step of acting in N environments: actions (N, ...), values (N, 1), log_prob (N,), state, trace."""

    actions: th.Tensor
    values: th.Tensor
    log_prob: th.Tensor
    state: MemoryState
    trace: Trace


class Variants(NamedTuple):
    """One step with and without each of K memories, in 1 + K rows; the first is without none.

    ``kept``: the distribution with all of them, in every row. ``removed``: those without. ``values`` (1 + K, 1).
    """

    kept: Distribution
    removed: Distribution
    values: th.Tensor


@dataclass(frozen=True)
class Evaluation:
    """Segments re-read with gradient.

    ``values``, ``log_prob``, ``entropy`` (n, T), the last None where it has no formula; ``penalty`` (layers,)
    in steps, of length 0 without spans; ``auxiliary``: losses of the memory's own, as `MemoryOutput` has them.
    """

    values: th.Tensor
    log_prob: th.Tensor
    entropy: th.Tensor | None
    penalty: th.Tensor
    auxiliary: th.Tensor


@dataclass(frozen=True)
class MemoryEvaluation(Evaluation):
    """With what the memory answered, and the distribution of the n * T actions."""

    distribution: Distribution
    memory: MemoryOutput[Any]


@contextmanager
def full_precision(x: th.Tensor) -> Iterator[th.Tensor]:
    """``x`` in 32 bits or more, and no autocast: probabilities and values need more digits than bfloat16 has."""
    with th.autocast(x.device.type, enabled=False):
        yield x.to(th.promote_types(x.dtype, th.float32))


def unchecked(make: Callable[[], Distribution]) -> Distribution:
    """A distribution whose arguments PyTorch does not check: the host would wait for a GPU several times a step.

    What the agents learn from is checked once per update, and actions when they reach the host.
    """
    default = TorchDistribution._validate_args
    TorchDistribution.set_default_validate_args(False)
    try:
        made = make()
    finally:
        TorchDistribution.set_default_validate_args(default)
    parts = getattr(made, "distribution", [])
    for part in parts if isinstance(parts, list) else [parts]:
        part._validate_args = False
    return made


def check_probability(log_prob: th.Tensor) -> None:
    """Raise ValueError if an action has none."""
    if log_prob.isnan().any():
        raise ValueError(
            "the policy's action has no probability (nan): a weight or the observation is not finite; load an earlier "
            "checkpoint, or check the environment"
        )


def flatten_steps(obs: Observation) -> Observation:
    """(n, T, ...) -> (n * T, ...)."""
    return {k: v.flatten(0, 1) for k, v in obs.items()} if isinstance(obs, dict) else obs.flatten(0, 1)


def as_taken(actions: th.Tensor, space: spaces.Space[Any]) -> th.Tensor:
    """Actions (n, T, action_dim) of the buffer -> (n * T, ...) as distributions take them."""
    taken = actions.flatten(0, 1)
    return taken.long().flatten() if isinstance(space, spaces.Discrete) else taken


def rows_of(obs: Any) -> int:
    """How many environments a tensor of observations is of, or a dict of them."""
    return len(next(iter(obs.values()))) if isinstance(obs, dict) else len(obs)


def to_env(policy: BasePolicy, actions: np.ndarray) -> np.ndarray:
    """Actions as the environment takes them: elements of its space (`as_elements`), squashed ones rescaled to it."""
    if np.issubdtype(actions.dtype, np.floating) and not np.isfinite(actions).all():
        raise ValueError(
            f"the policy chose an action that is not finite ({actions[~np.isfinite(actions)][0]}); check its weights "
            "and the observations"
        )
    return as_elements(rescaled(policy, actions), policy.action_space)


def rescaled(policy: BasePolicy, actions: np.ndarray) -> np.ndarray:
    """Actions (n, ...) with squashed ones rescaled from [-1, 1] to the bounds of the space; others as they are."""
    space = policy.action_space
    if not isinstance(space, spaces.Box) or not policy.squash_output:
        return actions
    low, high = (bound.astype(np.promote_types(bound.dtype, np.float32)) for bound in (space.low, space.high))
    scaled: np.ndarray = low + 0.5 * (actions.reshape((-1, *space.shape)) + 1) * (high - low)
    return scaled
