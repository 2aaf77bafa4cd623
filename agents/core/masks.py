"""Masks of actions: which of them an environment allows now.

An environment says so as in sb3-contrib, by a method ``action_masks()``, or as Gymnasium's Taxi does, by
``info["action_mask"]``. A mask is a row of W booleans, True where an action is allowed: of a Discrete space one per
action; of a MultiDiscrete one the rows of its parts side by side; of a MultiBinary one a pair per bit, for 0 and for
1. A vector environment may give those of all its environments as an array (N, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    Distribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.vec_env import VecEnv
from torch.distributions import Bernoulli, Categorical

from expirespan.agents.base.spaces import as_elements

Masks = npt.NDArray[np.bool_]
METHOD, KEY = "action_masks", "action_mask"
FORBIDDEN = -1e8
"""Logit of an action that is not allowed: its probability is exactly 0, and nothing becomes infinite."""


def parts(space: spaces.Space[Any]) -> list[int]:
    """How many booleans each part of an action has in a mask.

    Raises:
        ValueError: actions of this space cannot be masked.
    """
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.flatten()]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    raise ValueError(f"actions of {space} cannot be masked: expected Discrete, MultiDiscrete or MultiBinary")


def checked(given: Any, space: spaces.Space[Any], num_envs: int) -> Masks:
    """Masks (N, W) as booleans.

    Raises:
        ValueError: they have another shape, are no booleans, or forbid every action.
    """
    sizes = parts(space)
    masks = np.asarray(given)
    if masks.shape != (num_envs, sum(sizes)):
        raise ValueError(
            f"action masks have shape {masks.shape}, expected {(num_envs, sum(sizes))}: a row per environment, of as "
            f"many booleans as {space} has choices"
        )
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise ValueError(f"action masks hold {masks.dtype} values other than 0 and 1, expected booleans")
    masks = masks.astype(bool)
    bounds = np.cumsum([0, *sizes])[:-1]
    allowed = np.logical_or.reduceat(masks, bounds, axis=1)
    if not allowed.all():
        row, part = np.argwhere(~allowed)[0]
        where = f" for part {part} of it" if len(sizes) > 1 else ""
        raise ValueError(
            f"the mask of environment {row} forbids every action{where}; an environment must allow one, if only to wait"
        )
    return masks


def as_tensor(given: Any, space: spaces.Space[Any], num_envs: int, device: th.device) -> th.Tensor:
    """Masks (N, W) on the device; those of a single environment may be a row (W,).

    Raises:
        ValueError: see `checked`.
    """
    return th.as_tensor(checked(np.atleast_2d(np.asarray(given)), space, num_envs), device=device)


def source(env: VecEnv) -> Callable[[Sequence[dict[str, Any]]], Masks | None]:
    """How to read an environment's masks, given the present infos: None where it has none."""
    if env.has_attr(METHOD):
        return lambda infos: checked(_of_method(env), env.action_space, env.num_envs)
    return lambda infos: _of_infos(infos, env)


def vector_action_masks(envs: VectorEnv[Any, Any, Any], infos: Mapping[str, Any]) -> Masks | None:
    """Masks (N, W) of Gymnasium's vector environments, given infos of the last reset or step; None if they have none.

    Raises:
        ValueError: they have another shape, are no booleans, or forbid every action.
    """
    space, count = envs.single_action_space, envs.num_envs
    scalars = getattr(envs.unwrapped, "envs", None)
    if scalars is not None and scalars[0].has_wrapper_attr(METHOD):
        return checked([env.get_wrapper_attr(METHOD)() for env in scalars], space, count)
    if hasattr(envs.unwrapped, METHOD):
        return checked(getattr(envs.unwrapped, METHOD)(), space, count)
    if KEY not in infos:
        return None
    masks, told = np.array(infos[KEY], dtype=bool).reshape(count, -1), infos.get(f"_{KEY}")
    if told is not None:
        masks[~np.asarray(told)] = True
    return checked(masks, space, count)


def reset_infos(env: VecEnv) -> Sequence[dict[str, Any]]:
    """Infos of the last reset of each environment; empty where the vector environment keeps none."""
    return getattr(env.unwrapped, "reset_infos", None) or [{} for _ in range(env.num_envs)]


def present_infos(
    env: VecEnv, dones: Sequence[bool] | npt.NDArray[np.bool_], infos: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Infos of the present observations after a step: where an episode ended, those of the one that begins."""
    begun = reset_infos(env)
    return [begun[i] if done else info for i, (done, info) in enumerate(zip(dones, infos, strict=False))]


def _of_method(env: VecEnv) -> Any:
    found = env.env_method(METHOD)
    first = np.asarray(found[0])
    return first if first.ndim == 2 else found  # one object for all environments answers for all of them


def _of_infos(infos: Sequence[dict[str, Any]], env: VecEnv) -> Masks | None:
    found = [info.get(KEY) for info in infos]
    if all(mask is None for mask in found):
        return None
    everything = np.ones(sum(parts(env.action_space)), dtype=bool)
    rows = [everything if mask is None else np.asarray(mask).flatten() for mask in found]
    return checked(rows, env.action_space, env.num_envs)


def allowed_action(space: spaces.Space[Any], mask: Masks) -> npt.NDArray[Any]:
    """An action drawn uniformly, by the space's own random numbers, from those that a mask (W,) allows."""
    allowed = np.split(mask, np.cumsum(parts(space))[:-1])
    chosen = np.array([space.np_random.choice(np.flatnonzero(part)) for part in allowed])
    action: npt.NDArray[Any] = as_elements(chosen, space)[0]
    return action


def masked(distribution: Distribution, masks: th.Tensor | None) -> Distribution:
    """The distribution with probability 0 for what ``masks``, (n, W) or (n, T, W) bool, forbid; unchanged without."""
    if masks is None:
        return distribution
    masks = masks.flatten(0, -2)
    if isinstance(distribution, CategoricalDistribution):
        distribution.distribution = _categorical(distribution.distribution, masks)
    elif isinstance(distribution, MultiCategoricalDistribution):
        own = masks.split([part.logits.shape[1] for part in distribution.distribution], 1)
        distribution.distribution = [
            _categorical(p, m) for p, m in zip(distribution.distribution, own, strict=True)
        ]
    elif isinstance(distribution, BernoulliDistribution):
        off, on = masks.unflatten(-1, (-1, 2)).unbind(-1)
        logits = distribution.distribution.logits.masked_fill(~on, FORBIDDEN).masked_fill(~off, -FORBIDDEN)
        distribution.distribution = Bernoulli(logits=logits, validate_args=False)
    else:
        raise ValueError(f"actions of a {type(distribution).__name__} cannot be masked")
    return distribution


def _categorical(given: Categorical, mask: th.Tensor) -> Categorical:
    return Categorical(logits=given.logits.masked_fill(~mask, FORBIDDEN), validate_args=False)
