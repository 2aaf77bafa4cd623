"""The direction in the observation: what it says, where it stands, in both variants; nothing else changes."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from expirespan.envs import PortalRooms, PortalRoomsVector
from tests.envs.portal.plays import FORWARD, LEFT, RIGHT, THREE, play

EAST, SOUTH, WEST, NORTH = np.eye(4, dtype=int).tolist()


@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_it_turns_with_the_agent_and_is_east_after_every_door(make: Any) -> None:
    actions = [LEFT, LEFT, LEFT, LEFT, RIGHT, LEFT, LEFT, FORWARD, FORWARD]
    steps = play(make(rooms=3, room_size=3, show_direction=True), THREE, actions)
    told = [np.reshape(step[0], -1)[-4:].tolist() for step in steps]
    assert told == [NORTH, WEST, SOUTH, EAST, SOUTH, EAST, NORTH, NORTH, EAST]


@pytest.mark.parametrize("show_room", [True, False])
def test_it_follows_what_is_seen_without_it(show_room: bool) -> None:
    """In both variants, over episodes that end and begin; no number of a room stands behind it."""
    kwargs: dict[str, Any] = {"rooms": 5, "room_size": 3, "max_steps": 40, "show_room": show_room}
    sync = SyncVectorEnv(
        [lambda: PortalRooms(**kwargs, show_direction=True)] * 3, autoreset_mode=AutoresetMode.SAME_STEP
    )
    vector, plain = PortalRoomsVector(3, **kwargs, show_direction=True), PortalRoomsVector(3, **kwargs)
    assert vector.single_observation_space == sync.single_observation_space
    generator, ends = np.random.default_rng(0), 0
    given = [env.reset(seed=4)[0] for env in (vector, sync, plain)]
    for _ in range(200):
        ours, theirs, without = given
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours[:, :-4], without)
        assert (ours[:, -4:].sum(axis=1) == 1).all()
        action = generator.choice(3, 3, p=[0.2, 0.2, 0.6])
        steps = [env.step(action) for env in (vector, sync, plain)]
        given = [step[0] for step in steps]
        for i in np.flatnonzero(steps[0][2] | steps[0][3]):
            ends += 1
            np.testing.assert_array_equal(steps[0][4]["final_obs"][i], steps[1][4]["final_obs"][i])
    assert ends > 3
