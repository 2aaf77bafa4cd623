"""Episodes that begin at one of several numbers: draws, what is seen, states, and errors."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from expirespan.envs import PortalRooms, PortalRoomsVector
from expirespan.envs.portal.rules import VIEW, PortalRules
from tests.envs.portal.plays import BY_LEFT, THREE, look, play


def test_starts_are_drawn_evenly_and_change_nothing_else() -> None:
    one, three = PortalRules(rooms=10), PortalRules(rooms=10, starts=3)
    draws = np.random.default_rng(0).random((60_000, three.draws))
    colours, leads_on, first = three.from_draws(draws)
    without = one.from_draws(draws[:, : one.draws])
    np.testing.assert_array_equal(colours, without[0])
    np.testing.assert_array_equal(leads_on, without[1])
    assert not without[2].any()
    numbers, counts = np.unique(first, return_counts=True)
    assert numbers.tolist() == [0, 3, 6]
    np.testing.assert_allclose(counts / len(first), 1 / 3, atol=0.008)


@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_numbers_go_on_from_the_first_and_begin_again(make: Any) -> None:
    """The same number whenever a room comes again; rewards and infos count from the first room."""
    layout = {"layout": THREE["layout"] | {"first_number": 3}}
    steps = play(make(rooms=3, starts=3), layout, BY_LEFT + BY_LEFT + BY_LEFT)
    arrivals = steps[3::4]
    assert [look(np.reshape(step[0], -1))[1] for step in arrivals] == [1, 3, 1]
    assert [np.asarray(step[1]).item() for step in arrivals] == [0.1, 0.0, 0.1]
    assert [np.asarray(step[4]["room"]).item() for step in arrivals] == [2, 1, 2]


def test_starts_are_those_of_both_variants_and_of_a_restored_one() -> None:
    """Random play over several episodes, each of which begins anew."""
    kwargs: dict[str, Any] = {"rooms": 5, "room_size": 3, "max_steps": 40, "starts": 5}
    sync = SyncVectorEnv([lambda: PortalRooms(**kwargs)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    vector, generator = PortalRoomsVector(3, **kwargs), np.random.default_rng(0)
    first = [env.reset(seed=4)[0] for env in (sync, vector)]
    np.testing.assert_array_equal(*first)
    seen = set(first[0][:, VIEW:].argmax(axis=1))
    for step in range(400):
        if step == 50:
            state, vector = vector.get_state(), PortalRoomsVector(3, **kwargs)
            vector.reset(seed=99)
            vector.set_state(state)
        action = generator.choice(3, 3, p=[0.2, 0.2, 0.6])
        ours, theirs = vector.step(action), sync.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        begun = ours[2] | ours[3]
        seen |= set(ours[0][begun, VIEW:].argmax(axis=1))
    assert seen == set(range(5)), "any number can be that of the first room"


@pytest.mark.parametrize("number", [0, 3, 5, 1.0, "1", None])
@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_wrong_first_numbers(make: Any, number: Any) -> None:
    env = make(rooms=3, starts=2)
    with pytest.raises(ValueError, match=rf"first_number'\]={number!r}: expected one of 1, 2$"):
        env.reset(options={"layout": THREE["layout"] | {"first_number": number}})
    with pytest.raises(
        ValueError,
        match=r"exactly the keys 'colours', 'leads_on', 'first_number', such as .*'first_number': 1",
    ):
        env.reset(options=THREE)
