"""Environments that misbehave, one way each, made by the product of what can go wrong, where and when."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

SIZE = 3
LATE = 13
"""The call of step() at which training meets the fault: in its second rollout, before the first evaluation."""


class OwnError(Exception):
    """What a library of somebody's raises; not to be pickled."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(f"{one} {two}")


def _raise(error: BaseException) -> Any:
    raise error


def _hang(seconds: float = 600) -> Any:
    time.sleep(seconds)


GOOD = np.zeros(SIZE, np.float32)
Step = tuple[Any, Any, Any, Any, Any]
ERRORS: dict[str, Callable[[], BaseException]] = {
    kind.__name__: (lambda kind=kind: kind("boom"))  # type: ignore[misc]
    for kind in (
        *(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, ZeroDivisionError),
        *(RuntimeError, OSError, MemoryError, StopIteration, NotImplementedError, RecursionError, EOFError),
        *(SystemExit, GeneratorExit, BrokenPipeError, TimeoutError, UnicodeError),
    )
} | {"OwnError": lambda: OwnError(1, lambda: 2)}
STEPS: dict[str, Callable[[], Any]] = {
    "returns None": lambda: None,
    "returns four": lambda: (GOOD, 0.0, False, {}),
    "returns an array": lambda: GOOD,
    "observation None": lambda: (None, 0.0, False, False, {}),
    "observation too long": lambda: (np.zeros(SIZE + 1, np.float32), 0.0, False, False, {}),
    "observation too deep": lambda: (np.zeros((1, SIZE), np.float32), 0.0, False, False, {}),
    "observation a number": lambda: (0.0, 0.0, False, False, {}),
    "observation ragged": lambda: ([[1.0], [1.0, 2.0], 3.0], 0.0, False, False, {}),
    "observation of text": lambda: (np.array(["a"] * SIZE), 0.0, False, False, {}),
    "observation of objects": lambda: (np.array([None] * SIZE), 0.0, False, False, {}),
    "observation complex": lambda: (np.zeros(SIZE, complex), 0.0, False, False, {}),
    "observation nan": lambda: (GOOD * np.nan, 0.0, False, False, {}),
    "observation inf": lambda: (np.full(SIZE, np.inf, np.float32), 0.0, False, False, {}),
    "observation -inf": lambda: (np.array([0, 0, -np.inf], np.float32), 0.0, False, False, {}),
    "observation a dict": lambda: ({"a": GOOD}, 0.0, False, False, {}),
    "last observation nan": lambda: (GOOD * np.nan, 0.0, True, False, {}),
    "reward None": lambda: (GOOD, None, False, False, {}),
    "reward text": lambda: (GOOD, "1.0", False, False, {}),
    "reward nan": lambda: (GOOD, float("nan"), False, False, {}),
    "reward inf": lambda: (GOOD, np.float32("inf"), False, False, {}),
    "reward an array": lambda: (GOOD, np.ones(2), False, False, {}),
    "reward complex": lambda: (GOOD, 1j, False, False, {}),
    "terminated None": lambda: (GOOD, 0.0, None, False, {}),
    "terminated text": lambda: (GOOD, 0.0, "no", False, {}),
    "terminated nan": lambda: (GOOD, 0.0, float("nan"), False, {}),
    "terminated an array": lambda: (GOOD, 0.0, np.zeros(2, bool), False, {}),
    "truncated None": lambda: (GOOD, 0.0, False, None, {}),
    "truncated a dict": lambda: (GOOD, 0.0, False, {}, {}),
    "info None": lambda: (GOOD, 0.0, False, False, None),
    "info a list": lambda: (GOOD, 0.0, False, False, []),
}
RESETS: dict[str, Callable[[], Any]] = {
    "reset returns the observation": lambda: GOOD,
    "reset returns None": lambda: None,
    "reset returns nan": lambda: (GOOD * np.nan, {}),
    "reset returns another shape": lambda: (np.zeros(SIZE + 2, np.float32), {}),
    "reset returns info None": lambda: (GOOD, None),
}
WORKERS: dict[str, Callable[[], Any]] = {
    "worker exits": lambda: os._exit(3),
    "worker is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "worker is terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "worker hangs": _hang,
}


@dataclass(frozen=True)
class Kind:
    """``where``: training, evaluation, reset (the second), first reset, close, render or constructor; ``workers``:
    environments have processes of their own. ``healthy``: the run ends well.
    """

    name: str
    where: str = "training"
    workers: bool = False
    healthy: bool = False

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.name}, {self.where}{', in its own process' if self.workers else ''}"


def kinds() -> list[Kind]:
    """All of them."""
    found = [Kind(name, where) for name in ERRORS for where in ("training", "evaluation")]
    found += [
        Kind(name, where)
        for name in ("ValueError", "SystemExit", "OwnError")
        for where in ("first reset", "reset", "constructor")
    ]
    found += [Kind(name, "training") for name in STEPS]
    found += [Kind(name, "evaluation") for name in STEPS if name.endswith(("nan", "None"))]
    found += [Kind(name, where) for name in RESETS for where in ("first reset", "reset")]
    found += [Kind(name, where, workers=True) for name in WORKERS for where in ("training", "evaluation")]
    chosen = ("ValueError", "OwnError", "SystemExit", "observation nan", "terminated None", "returns None")
    found += [Kind(name, "training", workers=True) for name in chosen]
    found += [
        Kind("never ends", where, workers, healthy=True)
        for where in ("training", "evaluation")
        for workers in (False, True)
    ]
    found += [Kind("ValueError", "close", healthy=True), Kind("SystemExit", "close", healthy=True)]
    return found


class Misbehaving(gym.Env[Any, Any]):
    """Four steps an episode, until the kind of fault happens: in training at a late call of step(), in evaluation
    (``evaluates``) at an early one. ``cured``: a file, whose presence makes the environment well.
    """

    observation_space = gym.spaces.Box(-1, 1, (SIZE,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault: str = "", where: str = "training", evaluates: bool = False, cured: str = ""):
        self.fault, self.calls, self.resets, self.taken = fault, 0, 0, 0
        self.where = "" if cured and os.path.exists(cured) else where
        self.now = {"training": not evaluates, "evaluation": evaluates}.get(where, True)
        if self.where == "constructor":
            raise ERRORS[fault]()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.taken, self.resets = 0, self.resets + 1
        due = {"first reset": self.resets == 1, "reset": self.resets == 3}.get(self.where, False)
        return self._answer() if due else (GOOD.copy(), {})

    def step(self, action: Any) -> Any:
        self.calls, self.taken = self.calls + 1, self.taken + 1
        if self.where in ("training", "evaluation") and self.now:
            if self.fault == "never ends":
                return GOOD.copy(), 0.0, False, False, {}
            if self.calls == (LATE if self.where == "training" else 3):
                return self._answer()
        return GOOD.copy(), 1.0, self.taken >= 4, False, {}

    def close(self) -> None:
        if self.where == "close":
            raise ERRORS[self.fault]()

    def _answer(self) -> Any:
        if self.fault in ERRORS:
            raise ERRORS[self.fault]()
        return ({**STEPS, **RESETS, **WORKERS})[self.fault]()


gym.register("Misbehaving-v0", Misbehaving, disable_env_checker=True)
