"""The numbers on the card of the portal rooms: optimum, chance, and what can be had without memory."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from expirespan.envs import ENVIRONMENTS, PortalRoomsVector
from expirespan.envs.moves import FORWARD
from expirespan.envs.portal_rules import DOOR, KINDS, VIEW

Policy = Callable[[Any, Any], Any]


def first_episodes(policy: Policy, episodes: int, **kwargs: Any) -> Any:
    """Returns of the first episode of each environment."""
    env = PortalRoomsVector(episodes, **kwargs)
    observations, _ = env.reset(seed=0)
    first, starts, returns = np.ones(episodes, bool), np.ones(episodes, bool), np.zeros(episodes)
    while first.any():
        observations, rewards, terminated, truncated, _ = env.step(policy(observations, starts))
        returns += rewards * first
        starts = terminated | truncated
        first &= ~starts
    return returns


def recursion(rooms: int, doors: int) -> tuple[float, float, float]:
    """Mean and deviation of the oracle's return, and its chance to reach the end, with ``doors`` still to be taken.

    It stands in room ``f``, all rooms before are known: a right guess pays 0.1 f and leads on; a wrong one costs a
    door, and walking to room f + 1 through f rooms that pay on the way.
    """

    @cache
    def future(f: int, left: int) -> tuple[float, float, float]:
        if f == rooms or left == 0:
            return 0.0, 0.0, float(f == rooms)
        right = plus(0.1 * f, future(f + 1, left - 1))
        walked = min(left - 1, f)
        arrived = future(f + 1, left - 1 - f) if walked == f else (0.0, 0.0, 0.0)
        wrong = plus(0.1 * walked * (walked + 1) / 2, arrived)
        return tuple((a + b) / 2 for a, b in zip(right, wrong, strict=True))  # type: ignore[return-value]

    def plus(reward: float, moments: tuple[float, float, float]) -> tuple[float, float, float]:
        mean, square, success = moments
        return mean + reward, square + 2 * reward * mean + reward**2, success

    mean, square, success = future(1, doors)
    return mean, max(square - mean**2, 0) ** 0.5, success


def best(rooms: int, doors: int) -> float:
    """The highest mean return of all players, who may take wrong doors on purpose; by trying all choices."""

    @cache
    def value(room: int, known: int, mistakes: frozenset[int], left: int) -> float:
        if room == rooms or left == 0:
            return 0.0
        back = value(1, max(known, room), mistakes | {room}, left - 1) if room not in mistakes else 0.0
        on = 0.1 * room + value(room + 1, max(known, room), mistakes, left - 1)
        return (back + on) / 2 if room > known else max(back, on)

    return value(1, 0, frozenset(), doors)


def test_optimum() -> None:
    listed = ENVIRONMENTS["ExpireSpan/PortalRooms-v0"]
    mean, deviation, success = recursion(50, 1000 // 4)
    assert (mean, deviation) == (
        pytest.approx(listed.optimum, abs=1e-3),
        pytest.approx(listed.deviation, abs=0.01),
    )
    assert success == pytest.approx(1e-5, rel=0.2)
    assert ENVIRONMENTS["ExpireSpan/PortalRooms-10-v0"].optimum == pytest.approx(0.1 * sum(range(1, 10)))


def test_no_player_beats_the_oracle_where_the_end_is_out_of_reach() -> None:
    for rooms, doors in ((8, 13), (10, 18), (12, 23)):
        assert best(rooms, doors) == pytest.approx(recursion(rooms, doors)[0])
    assert (best(10, 100), recursion(10, 100)[0]) == (pytest.approx(13.6, abs=0.05), pytest.approx(10.5))


def test_chance() -> None:
    generator = np.random.default_rng(0)

    def uniform(observations: Any, starts: Any) -> Any:
        return generator.integers(3, size=len(observations))

    assert first_episodes(uniform, 3000).mean() == pytest.approx(0.32, abs=0.03)
    assert first_episodes(uniform, 3000, rooms=10, pays="first").mean() == pytest.approx(0.28, abs=0.03)


class Guesser:
    """No memory of rooms: on arriving it turns to the left door with a fixed chance, and walks straight."""

    def __init__(self, left: float) -> None:
        self._left, self._generator = left, np.random.default_rng(0)
        self._walks: Any = None

    def __call__(self, observations: Any, starts: Any) -> Any:
        if self._walks is None:
            self._walks = np.zeros(len(starts), bool)
        self._walks &= ~starts
        turn = (self._generator.random(len(starts)) >= self._left).astype(int)
        action = np.where(self._walks, FORWARD, turn)
        ahead = observations[:, :VIEW].reshape(-1, 3, 3, len(KINDS))[:, 1, 1, DOOR:].any(axis=1)
        self._walks = ~(ahead & (action == FORWARD))
        return action


def test_memoryless_ceiling() -> None:
    for left, kwargs, expected in (
        (0.5, {}, 0.61),
        (1.0, {}, 0.40),
        (0.75, {}, 0.62),
        (0.5, {"rooms": 10, "pays": "first"}, 0.44),
        (0.7, {"rooms": 10, "pays": "first"}, 0.41),
    ):
        returns = first_episodes(Guesser(left), 6400, **kwargs)
        assert returns.mean() == pytest.approx(expected, abs=4 * returns.std() / 80)
        assert returns.mean() < (0.44 if kwargs else 0.63) + 3 * returns.std() / 80
