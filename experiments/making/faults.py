"""Faults of environments: what one did that no environment may do, as a user error that says which, where and what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import ERROR, shortened, shown


class EnvironmentFault(UserError):  # noqa: N818  (no error of the program)
    """Its message names the environment, the step and what came."""


class CheckedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Raises `EnvironmentFault` for whatever an environment raises, and for answers that nobody can learn from.

    ``index``: its place among those side by side.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self.name, self.index = name, 0
        self._episode = self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """See `gym.Env.reset`."""
        self._episode, self._step = self._episode + 1, 0
        with raised_as_fault(lambda: self._where("reset()")):
            found: Any = self.env.reset(seed=seed, options=options)
        if not isinstance(found, tuple) or len(found) != 2:
            raise self._fault("reset()", f"returned {shown(found)}: expected (observation, info)")
        self._check("reset()", found[0], found[1])
        return found

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """See `gym.Env.step`."""
        self._step += 1
        with raised_as_fault(lambda: self._where("step()")):
            found: Any = self.env.step(action)
        if not isinstance(found, tuple) or len(found) != 5:
            expected = "(observation, reward, terminated, truncated, info)"
            raise self._fault("step()", f"returned {shown(found)}: expected {expected}")
        observation, reward, terminated, truncated, info = found
        self._check("step()", observation, info)
        if not _is_number(reward) or not math.isfinite(reward):
            raise self._fault("step()", f"returned the reward {shown(reward)}: expected a finite number")
        for flag, value in (("terminated", terminated), ("truncated", truncated)):
            if not _is_flag(value):
                raise self._fault("step()", f"returned {flag}={shown(value)}: expected True or False")
        return found

    def _check(self, call: str, observation: Any, info: Any) -> None:
        if wrong := wrong_observation(self.observation_space, observation):
            raise self._fault(call, f"returned {wrong}")
        if not isinstance(info, dict):
            raise self._fault(call, f"returned info={shown(info)}: expected a dict")

    def _fault(self, call: str, what: str) -> EnvironmentFault:
        return EnvironmentFault(f"{self._where(call)} {what}")

    def _where(self, call: str) -> str:
        step = f"step {self._step} of " if self._step else ""
        return f"environment {self.index} of {self.name}, {step}its episode {self._episode}: {call}"


@contextmanager
def raised_as_fault(where: Any) -> Iterator[None]:
    """Whatever is raised within, Ctrl-C aside, as an `EnvironmentFault`; ``where()`` says where, in words."""
    try:
        yield
    except (KeyboardInterrupt, EnvironmentFault):
        raise
    except BaseException as error:  # sys.exit() of an environment must not end the run unsaved
        words = shortened(str(error), ERROR)
        raise EnvironmentFault(f"{where()} raised {type(error).__name__}{words and ': '}{words}") from error


def wrong_observation(space: spaces.Space[Any], value: Any, name: str = "observation") -> str:
    """What is wrong with an observation of a space, in words; empty if nothing is. Bounds of a Box are not checked."""
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or set(value) != set(space):
            return f"{name} {shown(value)}: expected a dict of {', '.join(map(repr, space))}"
        parts = [(space[key], value[key], f"{name}[{key!r}]") for key in space]
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, tuple | list) or len(value) != len(space):
            return f"{name} {shown(value)}: expected a tuple of {len(space)}"
        parts = [(one, value[i], f"{name}[{i}]") for i, one in enumerate(space)]
    elif isinstance(space, spaces.Box):
        return _wrong_array(space, value, name)
    else:
        return "" if space.contains(value) or _is_element(space, value) else (
            f"{name} {shown(value)}, which is not in {space}"
        )  # fmt: skip
    return next(filter(None, (wrong_observation(*part) for part in parts)), "")


def _wrong_array(space: spaces.Box, value: Any, name: str) -> str:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return f"{name} {shown(value)}: expected an array of shape {space.shape}"
    if array.shape != space.shape:
        return f"{name} of shape {array.shape}: expected {space.shape}"
    if array.dtype == space.dtype:
        pass
    elif array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, space.dtype, "same_kind"):
        return f"{name} of dtype {array.dtype}: expected {space.dtype}"
    elif space.dtype.kind in "iu" and array.size:
        whole: Any = space.dtype
        least, most = np.iinfo(whole).min, np.iinfo(whole).max
        if array.min() < least or array.max() > most:
            return f"{name} with values from {array.min()} to {array.max()}: expected {space.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        return f"{name}{place or ''} = {array[tuple(place)]}: expected finite numbers"
    return ""


def _is_element(space: spaces.Space[Any], value: Any) -> bool:
    """Whether a value is in a space but for its type, such as an int in the place of a numpy integer."""
    if isinstance(space, spaces.Discrete):
        whole = np.ndim(value) == 0 and isinstance(getattr(value, "item", lambda: value)(), Integral)
        return whole and bool(space.start <= int(value) < space.start + space.n)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        try:
            array = np.asarray(value)
        except ValueError:
            return False
        whole = array.dtype.kind in "iub" and array.shape == space.shape
        return whole and bool(space.contains(array.astype(space.dtype)))
    return False


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind in "fiub"
    return isinstance(value, Real | np.bool_)


def _is_flag(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind == "b"
    return isinstance(value, bool | np.bool_) or (isinstance(value, Integral) and value in (0, 1))
