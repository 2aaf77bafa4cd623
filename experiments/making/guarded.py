"""Environments side by side that cannot take a run with them: checked, and bounded in time in their own processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from expirespan.experiments.making.faults import (
    CheckedEnv,
    EnvironmentFault,
    raised_as_fault,
    wrong_observation,
)
from expirespan.quoting import shown

CLOSING = 5.0
"""Seconds that processes have to end, after which they are killed."""


class GuardedEnvs(VectorWrapper[Any, Any, Any, Any, Any]):
    """Raises `EnvironmentFault` for whatever environments raise, for what is no batch of their spaces, for worker
    processes that die and, if there is a ``timeout``, for those that do not answer within so many seconds.
    """

    transparent = True
    """It has no state that a checkpoint would keep."""

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str, timeout: float | None = None) -> None:
        super().__init__(env)
        self._name, self._timeout = name, timeout
        self._workers = env.unwrapped if isinstance(env.unwrapped, AsyncVectorEnv) else None
        self._one_by_one = isinstance(env.unwrapped, AsyncVectorEnv | SyncVectorEnv)
        self._steps, self._broken = 0, False
        if self._one_by_one:
            self._number()

    def _number(self) -> None:
        """Tell each environment its index."""
        numbers = list(range(self.num_envs))
        if self._workers is not None:
            self._workers.set_attr("index", numbers)
            return
        assert isinstance(self.env.unwrapped, SyncVectorEnv)
        for i, one in enumerate(self.env.unwrapped.envs):
            if isinstance(one, CheckedEnv):
                one.index = i

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """See `VectorEnv.reset`."""
        observations, infos = self._answer("reset()", self._reset, seed, options)
        if not self._one_by_one:
            self._check_observations("reset()", observations)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """See `VectorEnv.step`."""
        self._steps += 1
        found = self._answer("step()", self._step, actions)
        if not self._one_by_one:
            self._check_step(found)
        return found  # type: ignore[no-any-return]

    def render(self) -> Any:
        """See `VectorEnv.render`."""
        return self._answer("render()", self.env.render)

    def close(self, **kwargs: Any) -> None:
        """Close the environments, those in processes within seconds; what they raise then is a warning."""
        try:
            if self._workers is None:
                self.env.close(**kwargs)
            else:
                _end(self._workers, at_once=self._broken)
        except (Exception, SystemExit) as error:
            warnings.warn(f"{self._name} raised {type(error).__name__} in close(): {error}", stacklevel=2)

    def _reset(self, seed: Any, options: dict[str, Any] | None) -> Any:
        if self._workers is None:
            return self.env.reset(seed=seed, options=options)
        self._workers.reset_async(seed=seed, options=options)
        return self._workers.reset_wait(timeout=self._timeout)

    def _step(self, actions: Any) -> Any:
        if self._workers is None:
            return self.env.step(actions)
        self._workers.step_async(actions)
        return self._workers.step_wait(timeout=self._timeout)

    def _answer(self, call: str, ask: Callable[..., Any], *args: Any) -> Any:
        where = f"{self.num_envs} environments of {self._name}, step {self._steps}: {call}"
        try:
            with raised_as_fault(lambda: where):
                return ask(*args)
        except EnvironmentFault as fault:
            self._broken = True
            cause = fault.__cause__
            if isinstance(cause, multiprocessing.TimeoutError):
                raise EnvironmentFault(
                    f"{where} did not answer within {self._timeout:g} s (--env.timeout)"
                ) from cause
            if self._workers is not None and isinstance(cause, EOFError | OSError):
                raise EnvironmentFault(f"{where} was not answered: {_dead(self._workers)}") from cause
            raise

    def _check_step(self, found: Any) -> None:
        if not isinstance(found, tuple) or len(found) != 5:
            raise self._fault("step()", f"returned {shown(found)}: expected five values")
        observations, rewards, terminated, truncated, infos = found
        self._check_observations("step()", observations)
        paid = np.asarray(rewards)
        if paid.shape != (self.num_envs,) or paid.dtype.kind not in "fiub" or not np.isfinite(paid).all():
            raise self._fault(
                "step()", f"returned rewards {shown(rewards)}: expected {self.num_envs} finite numbers"
            )
        for name, flags in (("terminated", terminated), ("truncated", truncated)):
            if np.shape(flags) != (self.num_envs,) or np.asarray(flags).dtype.kind != "b":
                raise self._fault(
                    "step()", f"returned {name}={shown(flags)}: expected {self.num_envs} booleans"
                )
        if not isinstance(infos, dict):
            raise self._fault("step()", f"returned infos={shown(infos)}: expected a dict of arrays")

    def _check_observations(self, call: str, observations: Any) -> None:
        if wrong := wrong_observation(self.observation_space, observations, "observations"):
            raise self._fault(call, f"returned {wrong}")

    def _fault(self, call: str, what: str) -> EnvironmentFault:
        self._broken = True
        where = f"{self.num_envs} environments of {self._name}, step {self._steps}"
        return EnvironmentFault(f"{where}: {call} {what}")


class Isolated:
    """Wrapper for an environment in a process of its own: there Ctrl-C is the parent's business."""

    def __init__(self) -> None:
        self.parent = os.getpid()

    def __call__(self, env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        """The environment as it is, in a process that from now on is ended by its parent only."""
        if os.getpid() != self.parent:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return env


def _dead(workers: AsyncVectorEnv) -> str:
    """Which worker processes have ended, in words."""
    for process in workers.processes:
        process.join(0.2)  # its pipe closes a moment before it is gone
    gone = [
        f"the process of environment {i} ended with {'signal' if process.exitcode < 0 else 'exit code'} "
        f"{abs(process.exitcode)}"
        for i, process in enumerate(workers.processes)
        if process.exitcode is not None
    ]
    return "; ".join(gone) or "the connection to its process broke"


def _end(workers: AsyncVectorEnv, at_once: bool) -> None:
    """End worker processes; those that do not answer are killed."""
    if workers.closed:
        return
    try:
        if not at_once:
            for pipe in workers.parent_pipes:
                pipe.send(("close", None))
            for process in workers.processes:
                process.join(CLOSING)
    except (OSError, EOFError):
        pass  # one is gone
    for process in workers.processes:
        if process.is_alive():
            process.kill()
        process.join(CLOSING)
    for pipe in workers.parent_pipes:
        if pipe is not None:
            pipe.close()
    workers.closed = True
