"""The room's number in binary: what it says, and that nothing else changes."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from expirespan.envs import PortalRooms, PortalRoomsVector
from expirespan.envs.portal.rules import VIEW, PortalRules
from tests.envs.portal.plays import BY_LEFT, THREE, play


@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_arrivals_one_by_one(make: Any) -> None:
    steps = play(make(rooms=3, room_code="binary"), THREE, BY_LEFT * 3)
    told = [np.reshape(step[0], -1)[VIEW:].tolist() for step in steps[3::4]]
    assert told == [[0, 1], [1, 0], [0, 1]], "room 2, by a mistake back to room 1, room 2"


@given(st.integers(2, 1000))
def test_every_room_has_a_number_of_its_own(rooms: int) -> None:
    rules = PortalRules(rooms, 3, room_code="binary", max_steps=10**6)
    seen = np.zeros((rooms, VIEW + rules.number_length), np.uint8)
    rules.write_number_and_direction(seen, np.arange(rooms), np.zeros(rooms, np.int64))
    assert seen.shape[1] == VIEW + len(f"{rooms:b}") == rules.observation_space().shape[0]
    assert [int("".join(map(str, number[::-1])), 2) for number in seen[:, VIEW:]] == list(range(1, rooms + 1))


def test_it_is_what_the_one_hot_code_says_in_both_variants() -> None:
    """Over episodes that end and begin, with the direction behind it."""
    kwargs: dict[str, Any] = {"rooms": 5, "room_size": 3, "max_steps": 40, "show_direction": True}
    sync = SyncVectorEnv(
        [lambda: PortalRooms(**kwargs, room_code="binary")] * 3, autoreset_mode=AutoresetMode.SAME_STEP
    )
    vector, plain = PortalRoomsVector(3, **kwargs, room_code="binary"), PortalRoomsVector(3, **kwargs)
    generator, seen = np.random.default_rng(0), set[int]()
    given = [env.reset(seed=4)[0] for env in (vector, sync, plain)]
    for _ in range(300):
        ours, theirs, one_hot = given
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours[:, :VIEW], one_hot[:, :VIEW])
        np.testing.assert_array_equal(ours[:, -4:], one_hot[:, -4:])
        rooms = one_hot[:, VIEW:-4].argmax(axis=1) + 1
        np.testing.assert_array_equal(ours[:, VIEW:-4] @ [1, 2, 4], rooms)
        seen |= set(rooms.tolist())
        action = generator.choice(3, 3, p=[0.2, 0.2, 0.6])
        given = [env.step(action)[0] for env in (vector, sync, plain)]
    assert seen >= {1, 2, 3}
