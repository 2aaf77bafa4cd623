"""The numbers on the card of the portal rooms: optimum, chance, and what can be had without memory."""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from expirespan.envs import ENVIRONMENTS, PortalRoomsVector
from expirespan.envs.base.moves import FORWARD
from expirespan.envs.portal.rules import DOOR, KINDS, VIEW

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


def forgiven(rooms: int, doors: int) -> float:
    """The highest mean return if mistakes never ended an episode: more than any player of the real rules has."""
    value = np.zeros((rooms, rooms + 1))  # [rooms known, room], with no door left; room `rooms` is the end
    for _ in range(doors):
        pays = 0.1 * np.arange(1, rooms)
        later = np.zeros_like(value)
        for known in range(rooms):
            on, back = pays + value[known, 2:], value[known, 1]
            later[known, 1:rooms] = np.maximum(on, back)
            if known + 1 < rooms:
                learnt = value[known + 1]
                later[known, known + 1] = (pays[known] + learnt[known + 2] + learnt[1]) / 2
        value = later
    return float(value[0, 1])


def memoryless(left: Any, rooms: int, pays_every_time: bool = True) -> tuple[Any, Any]:
    """Mean returns and successes of players (n, rooms - 1) by their chances to take the left door of each room.

    Exact but for the step limit, by recursion over the sets of rooms with a mistake, for every way in which the
    doors of rooms with an uneven chance may lead.
    """
    left = np.asarray(left, float)
    uneven = np.flatnonzero((left != 0.5).any(axis=0))
    ways = np.array(list(product((0, 1), repeat=len(uneven))))
    # chance of the door that leads on: (n, ways, rooms - 1)
    right = np.repeat(left[:, None], len(ways), axis=1)
    right[..., uneven] = np.where(ways, 1 - right[..., uneven], right[..., uneven])
    reach = np.cumprod(right, axis=-1)  # ... of passing rooms 1 to k in a row
    wrong = np.concatenate([np.ones_like(reach[..., :1]), reach[..., :-1]], -1) * (1 - right)
    pay = 0.1 * np.arange(1, rooms)
    value: dict[int, Any] = {}
    success: dict[int, Any] = {}
    for mistakes in reversed(range(2 ** (rooms - 1))):
        new = [k for k in range(rooms - 1) if not mistakes >> k & 1]
        furthest = 0 if pays_every_time else max(mistakes.bit_length() - 1, 0)
        value[mistakes] = reach[..., furthest:] @ pay[furthest:]
        success[mistakes] = reach[..., -1].copy()
        for k in new:
            value[mistakes] += wrong[..., k] * value[mistakes | 1 << k]
            success[mistakes] += wrong[..., k] * success[mistakes | 1 << k]
    return value[0].mean(-1), success[0].mean(-1)


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
    assert recursion(50, 250)[0] == pytest.approx(forgiven(50, 250), abs=1e-4)


def test_chance() -> None:
    generator = np.random.default_rng(0)

    def uniform(observations: Any, starts: Any) -> Any:
        return generator.integers(3, size=len(observations))

    for kwargs, expected in (({}, 0.33), ({"rooms": 10, "pays": "first"}, 0.28)):
        returns = first_episodes(uniform, 10_000, **kwargs)
        assert returns.mean() == pytest.approx(expected, abs=0.005 + 3 * returns.std() / 100)


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
    """All chances in steps of 0.1 for the first rooms, with coin flips after them; 15 rooms stand for 50."""
    grid = np.array(list(product(np.linspace(0.5, 1, 6), np.linspace(0.5, 1, 6), (0.5, 0.6, 0.7))))
    returns, _ = memoryless(np.pad(grid, ((0, 0), (0, 11)), constant_values=0.5), 15)
    assert returns[0] == pytest.approx(0.61, abs=0.005)
    assert returns.max() == pytest.approx(0.64, abs=0.005)
    assert grid[returns.argmax()][:2] == pytest.approx([0.9, 0.8])
    assert memoryless(np.ones((1, 11)), 12)[0] == pytest.approx(0.40, abs=0.005)
    ten = np.pad(grid, ((0, 0), (0, 6)), constant_values=0.5)
    returns, success = memoryless(ten, 10, pays_every_time=False)
    assert (returns.argmax(), returns[0]) == (0, pytest.approx(0.44, abs=0.005))
    assert success[0] == pytest.approx(0.006, abs=0.0005)


def test_memoryless_players_earn_what_the_recursion_says() -> None:
    ten = {"rooms": 10, "pays": "first"}
    for left, kwargs in ((0.5, {}), (1.0, {}), (0.75, {}), (0.5, ten), (0.7, ten)):
        rooms = 10 if kwargs else 12
        expected, _ = memoryless(np.full((1, rooms - 1), left), rooms, not kwargs)
        returns = first_episodes(Guesser(left), 6400, **kwargs)
        assert returns.mean() == pytest.approx(expected[0], abs=4 * returns.std() / 80)
