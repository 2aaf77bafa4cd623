"""Steps per second of every environment under random actions, scalar and vector, in one process on one core.

Seconds are of processor time, so that other work on the machine counts little. Rounds alternate between environments,
so that what remains of it meets all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np

from expirespan.envs import ENVIRONMENTS
from expirespan.experiments.bench.options import EnvsOptions as Options
from expirespan.experiments.settings.checks import check_settings

REFERENCE = "MiniGrid-MemoryS11-v0"
"""An environment of MiniGrid's own, with its own observations, to compare with."""
SCALAR_STEPS, VECTOR_STEPS = 500, 20
"""Steps of a round, of one environment and of all of them side by side."""
SETTLE_STEPS = 1000
"""Steps of all of them before the first round."""


@dataclass(frozen=True)
class Row:
    """Steps per second of processor time, those of all copies added up: the best and the median round."""

    env: str
    variant: str
    best: float
    median: float


def run(options: Options) -> list[Row]:
    """Measure every registered environment, and `REFERENCE`.

    Raises:
        UserError: a number is not positive.
    """
    check_settings(options)
    import minigrid  # noqa: F401  registers the reference

    rounds: dict[tuple[str, str], Callable[[], float]] = {(REFERENCE, "scalar"): _scalar(REFERENCE)}
    for name in ENVIRONMENTS:
        rounds[name, "scalar"] = _scalar(name)
        rounds[name, f"vector of {options.num_envs}"] = _vector(name, options.num_envs)
    speeds: dict[tuple[str, str], list[float]] = {key: [] for key in rounds}
    for _ in range(options.rounds + 1):
        for key, steps_per_second in rounds.items():
            speeds[key].append(steps_per_second())
    return [Row(*key, max(speed[1:]), median(speed[1:])) for key, speed in speeds.items()]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [f"{'environment':<40}{'variant':<18}{'best steps/s':>16}{'median':>14}"]
    lines += [f"{r.env:<40}{r.variant:<18}{r.best:>16,.0f}{r.median:>14,.0f}" for r in rows]
    return "\n".join(lines)


def _scalar(name: str) -> Callable[[], float]:
    env: Any = gym.make(name).unwrapped
    env.reset(seed=0)
    actions = cycle(np.random.default_rng(0).integers(env.action_space.n, size=997).tolist())

    def steps_per_second() -> float:
        begin = time.process_time()
        for _ in range(SCALAR_STEPS):
            _, _, terminated, truncated, _ = env.step(next(actions))
            if terminated or truncated:
                env.reset()
        return SCALAR_STEPS / (time.process_time() - begin)

    return steps_per_second


def _vector(name: str, num_envs: int) -> Callable[[], float]:
    env = gym.make_vec(name, num_envs=num_envs)
    env.reset(seed=0)
    first = np.zeros(num_envs, np.int64)
    for _ in range(SETTLE_STEPS):  # all began together; now they end at any time
        env.step(first)
    space: Any = env.single_action_space
    actions = cycle(np.random.default_rng(0).integers(space.n, size=(37, num_envs)))

    def steps_per_second() -> float:
        begin = time.process_time()
        for _ in range(VECTOR_STEPS):
            env.step(next(actions))
        return VECTOR_STEPS * num_envs / (time.process_time() - begin)

    return steps_per_second
