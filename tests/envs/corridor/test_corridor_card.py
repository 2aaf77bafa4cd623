"""The numbers on the corridor's card: chance, and what can be had without memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expirespan.envs import CorridorVector
from expirespan.envs.base.moves import FORWARD, LEFT, RIGHT
from expirespan.envs.corridor.rules import BLUE_BALL, EMPTY, RED_BALL, RED_DOOR

Policy = Callable[[Any, np.random.Generator], Any]


def mean_return(policy: Policy, episodes: int, **kwargs: Any) -> float:
    """Mean return of the first episode of each environment."""
    env, generator = CorridorVector(episodes, **kwargs), np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    first, total = np.ones(episodes, bool), 0.0
    while first.any():
        observations, rewards, terminated, truncated, _ = env.step(policy(observations, generator))
        total += float(rewards[first].sum())
        first &= ~(terminated | truncated)
    return total / episodes


def uniform(observations: Any, generator: np.random.Generator) -> Any:
    return generator.integers(3, size=len(observations))


def turn_round_at_the_doors(observations: Any, generator: np.random.Generator) -> Any:
    """No memory: look back from the doors; if the ball shows, turn to its door; else enter now and then.

    Without a chance to enter the left door it would turn between that door and the look back for ever.
    """
    views = observations.astype(bool)
    doors, ball = views[..., RED_DOOR:], views[..., RED_BALL : BLUE_BALL + 1].any(axis=(1, 2))
    beside, ahead = doors[:, 2, 0].any(axis=1), doors[:, 1, 1].any(axis=1)
    left_pays = doors[:, 2, 0].argmax(axis=1) == ball.argmax(axis=1)
    look_back = np.where(left_pays, LEFT, RIGHT)
    at_the_doors = np.where(beside & ball.any(axis=1), look_back, LEFT)
    at_the_left_door = ahead & views[:, 2, 0, EMPTY]  # the corridor runs off to the left
    hesitates = at_the_left_door & (generator.random(len(views)) > 1 - 13 ** (-1 / 12))
    return np.select([beside, hesitates], [at_the_doors, LEFT], default=FORWARD)


def test_chance() -> None:
    assert mean_return(uniform, 10_000) == pytest.approx(0.003, abs=0.002)
    assert mean_return(uniform, 10_000, length_distribution="log_uniform") == pytest.approx(0.03, abs=0.008)
    assert mean_return(uniform, 10_000, max_length=3) == pytest.approx(0.21, abs=0.015)


def test_memoryless_ceiling() -> None:
    assert mean_return(turn_round_at_the_doors, 10_000, max_length=3) == pytest.approx(0.87, abs=0.012)
    for length in (
        4,
        9,
    ):  # the look back does not show the ball
        at_most = mean_return(turn_round_at_the_doors, 10_000, min_length=length, max_length=length)
        assert at_most < 0.5 + 0.015
