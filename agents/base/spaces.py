"""Spaces of Gymnasium: which of them agents read and act in, and numbers on their way from and to them.

What is not read is refused with the wrapper that turns it into something that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.type_aliases import GymEnv, PyTorchObs

AnyEnv = GymEnv | VectorEnv[Any, Any, Any]
"""What agents learn in: an environment, or many at once as Gymnasium or Stable-Baselines3 has them."""

READ = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
"""Kinds of space that agents read, alone or in one Dict, and act in."""
FLATTEN = "wrap each environment in gymnasium.wrappers.FlattenObservation"
TRANSFORM = (
    "wrap each environment in gymnasium.wrappers.TransformAction(env, function, action_space), "
    "with an action_space "
)


class UnreadableSpaceError(ValueError, NotImplementedError, AssertionError):
    """A space that no policy here can read or act in. Also what SB3 raises: its scripts and tests expect either."""


def check_observation_space(space: Any) -> None:
    """Raise UnreadableSpaceError for a Gymnasium space that no policy here can read."""
    parts = {"": space} if not isinstance(space, spaces.Dict) else dict(space.spaces)
    if not parts:
        raise UnreadableSpaceError(f"observation_space is {space}, {_unreadable(space)}")
    for key, part in parts.items():
        if isinstance(part, spaces.Space) and (reason := _unreadable(part)) is not None:
            where = f"observation_space[{key!r}]" if isinstance(space, spaces.Dict) else "observation_space"
            raise UnreadableSpaceError(f"{where} is {_line(part)}, {reason}{_without(key, space)}")
    _check_channels(space)


def check_action_space(space: Any) -> None:
    """Raise UnreadableSpaceError for a Gymnasium space in which no policy here can act."""
    if isinstance(space, spaces.Space) and (reason := _unusable(space)) is not None:
        raise UnreadableSpaceError(f"action_space is {_line(space)}, {reason}")


def check_plain(policy: str, observation_space: Any, action_space: Any) -> None:
    """Raise UnreadableSpaceError for spaces that only policies with a memory read and act in as they are."""
    parts = observation_space.values() if isinstance(observation_space, spaces.Dict) else [observation_space]
    for part in parts:
        if not _from_zero(part) or (isinstance(part, spaces.Box) and part.shape == ()):
            raise UnreadableSpaceError(
                f"observation_space has {_line(part)}, which policies without memory such as {policy} cannot read; "
                f"{FLATTEN}, or choose a policy with memory"
            )
    rounded = isinstance(action_space, spaces.Box) and action_space.dtype.kind != "f"
    if rounded or not _from_zero(action_space):
        raise UnreadableSpaceError(
            f"action_space is {_line(action_space)}, which policies without memory such as {policy} take for "
            f"continuous or counted from 0; {TRANSFORM}that is, or choose a policy with memory"
        )


def from_zero(obs: PyTorchObs, space: spaces.Space[Any]) -> PyTorchObs:
    """Observations as SB3 encodes them: discrete ones counted from 0, a lone number (B,) as (B, 1)."""
    if isinstance(space, spaces.Dict):
        return {key: from_zero(part, space[key]) for key, part in obs.items()}  # type: ignore[union-attr, misc]
    assert isinstance(obs, th.Tensor)
    if isinstance(space, spaces.Box) and space.shape == ():
        return obs.reshape(-1, 1)
    if not _from_zero(space):
        return obs.long() - th.as_tensor(least_values(space), device=obs.device)
    return obs


def as_elements(chosen: np.ndarray, space: spaces.Space[Any]) -> np.ndarray:
    """What a policy chose (n, ...), as n elements of ``space``, of its type.

    Discrete choices are counted from the space's start. Numbers are clipped to the bounds of a Box, and rounded if
    its type is integer.
    """
    shape: tuple[int, ...] = space.shape or ()
    chosen = chosen.reshape((-1, *shape))
    if not isinstance(space, spaces.Box):
        starts = 0 if _from_zero(space) else least_values(space)
        return (chosen + starts).astype(space.dtype)
    if space.dtype.kind == "f":
        clipped: np.ndarray = np.clip(chosen, space.low, space.high).astype(space.dtype)
        return clipped
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    rounded = np.rint(chosen)
    within = np.where((rounded > low) & (rounded < high), rounded, 0).astype(space.dtype)
    return np.where(rounded >= high, space.high, np.where(rounded <= low, space.low, within))


def _line(space: spaces.Space[Any]) -> str:
    """A space in one line."""
    return " ".join(str(space).split())


def _check_channels(space: Any) -> None:
    """Raise UnreadableSpaceError if some images of a Dict have their channels first and others last."""
    parts = space.values() if isinstance(space, spaces.Dict) else []
    images = [part for part in parts if isinstance(part, spaces.Box) and is_image_space(part)]
    if len({is_image_space_channels_first(image) for image in images}) > 1:
        raise UnreadableSpaceError(
            f"observation_space is {_line(space)}, whose images have their channels in different places; give all of "
            "them as (height, width, channels) with a gymnasium.wrappers.TransformObservation"
        )


_OWN = "write a gymnasium.ObservationWrapper that gives"


def _unreadable(space: spaces.Space[Any]) -> str | None:
    """Why no policy reads a space, and what helps; None if policies do."""
    if (
        type(space).__module__.startswith("gymnasium.spaces")
        and space.is_np_flattenable
        and spaces.flatdim(space) == 0
    ):
        return f"which holds nothing to read; {_OWN} a Box of numbers"
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.Text | spaces.OneOf):
        kind = "a nested space" if isinstance(space, spaces.Dict) else f"a {type(space).__name__} space"
        if not space.is_np_flattenable:
            return f"{kind} without a fixed size, which policies cannot read; {_OWN} a Box, filled up to one size"
        return f"{kind}, which policies cannot read; {FLATTEN}"
    if isinstance(space, spaces.Sequence | spaces.Graph):
        kind = type(space).__name__
        return f"a {kind} space without a fixed size, which policies cannot read; {_OWN} a Box, filled up to one size"
    if not isinstance(space, READ):
        return (
            "which policies cannot read: expected Box, Discrete, MultiDiscrete, MultiBinary or one Dict of "
            f"these; {_OWN} one of them"
        )
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return f"of {space.nvec.ndim} dimensions, where policies read one; {FLATTEN}"
    return None


def _without(key: Any, space: Any) -> str:
    """What else helps against an unreadable part of a Dict: its other parts alone."""
    if not isinstance(space, spaces.Dict) or len(space.spaces) < 2:
        return ""
    if type(space[key]).__module__.startswith("minigrid"):
        return ", or wrap each environment in minigrid.wrappers.ImgObsWrapper, which leaves the image alone"
    others = [other for other, part in space.spaces.items() if _unreadable(part) is None]
    return f", or leave it out with gymnasium.wrappers.FilterObservation(env, {others})" if others else ""


def _unusable(space: spaces.Space[Any]) -> str | None:
    """Why no policy acts in a space, and what helps; None if policies do."""
    if not isinstance(space, READ):
        return (
            "in which policies cannot act: expected Box, Discrete, MultiDiscrete or MultiBinary; "
            f"{TRANSFORM}of one of these kinds"
        )
    if 0 in (space.shape or ()):
        return f"which leaves nothing to choose; {TRANSFORM}that has actions"
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        flat = space.nvec.flatten().tolist()
        return (
            f"of {space.nvec.ndim} dimensions, where policies act in one; {TRANSFORM}of MultiDiscrete({flat})"
        )
    if isinstance(space, spaces.MultiBinary) and len(space.shape) != 1:
        return (
            "and a Multi-dimensional MultiBinary(n) action space is not supported; "
            f"{TRANSFORM}of MultiBinary({int(np.prod(space.shape))})"
        )
    if isinstance(space, spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        return (
            f"without finite bounds, which policies need to know; {TRANSFORM}of "
            f"Box(-1, 1, {space.shape}) or other finite bounds"
        )
    return None


def least_values(space: Any) -> np.ndarray | None:
    """The least value of each entry of a discrete space; None for other spaces."""
    discrete = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    return np.asarray(space.start, np.int64) if discrete else None


def _from_zero(space: Any) -> bool:
    """Whether a space's values are counted from 0, if they are counted."""
    starts = least_values(space)
    return starts is None or not starts.any()
