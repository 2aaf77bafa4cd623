"""Checks of a policy, its arguments and a rollout buffer by their names, before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import BasePolicy

from expirespan.agents.base.contrib import (
    ContribNameError,
    check_buffer,
    check_memory_names,
    check_policy,
    line,
)
from expirespan.agents.core.policies import has_memory
from expirespan.memory.registry import MEMORIES, check_names, known_arguments, nearest

KNOWN = ("expirespan", "stable_baselines3")
"""Packages whose constructors take exactly the arguments that their signatures list."""
GIVEN = {"self", "args", "kwargs", "observation_space", "action_space", "lr_schedule", "use_sde"}
"""What the agent passes to its policy."""
MEMORY = {"memory", "memory_kwargs", "predictor_lr"}


def check_contrib(algorithm: str, policy: Any, kwargs: Any, buffer: Any) -> None:
    """ContribNameError for what only RecurrentPPO or MaskablePPO take, TypeError for ``kwargs`` of a wrong type."""
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"policy_kwargs must be a dict by argument or None, got {kwargs!r}")
    own, memory = (kwargs or {}).get("memory_kwargs"), (kwargs or {}).get("memory", "")
    if own is not None and not isinstance(own, Mapping):
        raise TypeError(f"memory_kwargs must be a dict by argument or None, got {own!r}")
    if not isinstance(memory, str):
        raise TypeError(f"memory must be a name, one of {', '.join(MEMORIES)}, got {memory!r}")
    check_policy(algorithm, policy, kwargs)
    check_buffer(algorithm, policy, kwargs, buffer)


def check_alias(policy: str, aliases: Mapping[str, Any]) -> None:
    """Raise ValueError unless ``policy`` is a name of ours."""
    if policy not in aliases:
        near = nearest([policy], list(aliases))
        raise ValueError(f"policy {policy!r} is unknown; choose one of {', '.join(aliases)}{near}")


def check_policy_kwargs(
    algorithm: str, takes: set[str], policy: Any, policy_class: type[BasePolicy], kwargs: Mapping[str, Any]
) -> None:
    """Raise ContribNameError or TypeError for names that neither the policy nor its memory takes.

    ``takes``: arguments of the agent. A policy that is not from here or from SB3 may take what its signature does not
    list, so only its memory's arguments are checked.
    """
    name = policy if isinstance(policy, str) else policy_class.__name__
    known = _takes(policy_class)
    unknown = set(kwargs) - known if known is not None else set()
    if unknown & MEMORY and not has_memory(policy_class):
        raise ContribNameError(
            f"policy {name} has no memory, so it takes no {', '.join(sorted(unknown & MEMORY))}; write "
            f"`{line(algorithm, policy, kwargs)}`"
        )
    if unknown and (moved := unknown & (takes | GIVEN)):
        raise ContribNameError(
            f"policy_kwargs hold {', '.join(sorted(moved))}: give that to {algorithm} itself, not to its policy"
        )
    memory = kwargs.get("memory", "expire_span")
    inner = known_arguments(memory) if has_memory(policy_class) else set()
    if unknown and unknown <= inner:
        own = {**(kwargs.get("memory_kwargs") or {}), **{key: kwargs[key] for key in sorted(unknown)}}
        ours = {key: value for key, value in kwargs.items() if key not in unknown} | {"memory_kwargs": own}
        raise ContribNameError(
            f"policy_kwargs hold {', '.join(sorted(unknown))}, which are the memory's: write "
            f"`{line(algorithm, policy, ours)}`"
        )
    if known is not None:
        check_names(f"policy_kwargs: {name}", kwargs, known)
    if has_memory(policy_class):
        check_memory_names(algorithm, policy, kwargs)
        check_names(f"memory_kwargs: memory {memory!r}", kwargs.get("memory_kwargs") or {}, inner)


def check_buffer_takes(buffer: type[RolloutBuffer], kwargs: Mapping[str, Any], space: Any) -> None:
    """Raise TypeError unless a rollout buffer of that class can be made as SB3 makes one, with ``kwargs``.

    ``space``: of observations.
    """
    by_name = dict.fromkeys(("device", "gamma", "gae_lambda", "n_envs")) | dict(kwargs)
    try:
        inspect.signature(buffer).bind("buffer_size", "observation_space", "action_space", **by_name)
    except TypeError as error:
        raise TypeError(
            f"rollout_buffer_class {buffer.__name__} with rollout_buffer_kwargs={dict(kwargs)}: {error}; expected a "
            "class that is made as SB3's RolloutBuffer is, or None"
        ) from None
    if isinstance(space, spaces.Dict) and buffer.reset is RolloutBuffer.reset:
        raise TypeError(
            f"rollout_buffer_class {buffer.__name__} holds no Dict observations; leave it out, or choose a subclass of "
            "stable_baselines3.common.buffers.DictRolloutBuffer"
        )


def _takes(policy_class: type[BasePolicy]) -> set[str] | None:
    """Names that a policy's constructor takes, apart from what the agent passes; None where that is not known."""
    names: set[str] = set()
    for base in policy_class.__mro__:
        maker = vars(base).get("__init__")
        if maker is None:
            continue
        parameters = inspect.signature(maker).parameters
        names |= set(parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return names - GIVEN
        if base.__module__.partition(".")[0] not in KNOWN:
            return None
    return None
