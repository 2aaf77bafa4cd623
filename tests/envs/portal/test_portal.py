"""The portal rooms: steps and rewards worked out by hand, draws, pictures, and errors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.minigrid_env import MiniGridEnv

from expirespan.envs import PortalRooms, PortalRoomsOracle, PortalRoomsVector
from expirespan.envs.portal.rules import VIEW, PortalRules
from tests.envs.portal.plays import BY_LEFT, BY_RIGHT, FORWARD, LEFT, RIGHT, THREE, look, play


def test_one_room_step_by_step() -> None:
    env = PortalRooms(rooms=3)
    observation, info = env.reset(options=THREE)
    assert look(observation) == ("... ... ...", 1)
    assert info == {"cue": False, "room": 1, "furthest": 1}
    expected = [
        (LEFT, "... ... ...", 1, 0.0),
        (FORWARD, "#R# ... ...", 1, 0.0),
        (FORWARD, "### #R# ...", 1, 0.0),
        (FORWARD, "... ... ...", 2, 0.1),  # through the red door, and in the middle of the second room
        (LEFT, "... ... ...", 2, 0.0),
        (FORWARD, "#E# ... ...", 2, 0.0),
    ]
    for action, seen, room, reward in expected:
        observation, *rest, info = env.step(action)
        assert (look(observation), rest) == ((seen, room), [reward, False, False])
        assert info == {"cue": reward > 0, "room": room, "furthest": room}


@pytest.mark.parametrize(
    ("pays", "rewards"),
    [("every", [0.1, 0.0, 0.1, 0.2]), ("first", [0.1, 0.0, 0.0, 0.2])],
)
def test_rewards_with_a_mistake_on_the_way(pays: str, rewards: list[float]) -> None:
    actions = BY_LEFT + BY_LEFT + BY_LEFT + BY_RIGHT
    for env in (PortalRooms(rooms=3, pays=pays), PortalRoomsVector(1, rooms=3, pays=pays)):
        steps = play(env, THREE, actions)
        assert [np.asarray(step[1]).item() for step in steps][3::4] == rewards
        assert [bool(step[2]) for step in steps] == [False] * 15 + [True]
        infos = [step[4] for step in steps]
        assert [np.asarray(info["room"]).item() for info in infos[3:15:4]] == [2, 1, 2]
        assert [np.asarray(info["furthest"]).item() for info in infos[3:15:4]] == [2, 2, 2]
        assert [bool(info["cue"]) for info in infos[:15]] == [step % 4 == 3 for step in range(15)]
        final = infos[-1].get("final_info", infos[-1])
        assert final["is_success"] and final["room"] == 3


def test_the_second_mistake_in_a_room_ends_the_episode() -> None:
    for env in (PortalRooms(rooms=3), PortalRoomsVector(1, rooms=3)):
        *_, before, last = play(env, THREE, BY_RIGHT + BY_LEFT + BY_LEFT + BY_RIGHT)
        assert not before[2] and (last[1], bool(last[2])) == (0.0, True), (
            "one in room 1, one in room 2, one in 1"
        )
        assert not last[4].get("final_info", last[4])["is_success"]
    *_, last = play(PortalRooms(rooms=3, mistakes=2), THREE, BY_RIGHT * 2)
    assert not last[2]
    *_, last = play(PortalRooms(rooms=3, mistakes=0), THREE, BY_RIGHT)
    assert last[2]


def test_walls_stop_the_agent_and_time_runs_out() -> None:
    env = PortalRooms(rooms=3, max_steps=9)
    steps = play(env, THREE, [FORWARD] * 9)
    assert tuple(env.agent_pos) == (5, 3) and look(steps[-1][0]) == ("### ### ...", 1)
    assert [step[3] for step in steps] == [False] * 8 + [True] and steps[-1][4]["is_success"] is False


def test_a_larger_room_and_no_number() -> None:
    env = PortalRooms(rooms=3, room_size=7, show_room=False)
    steps = play(env, THREE, [RIGHT] + [FORWARD] * 4)
    assert steps[-1][0].shape == (VIEW,) and steps[-1][4]["room"] == 1 and steps[-1][4]["cue"]
    with pytest.raises(ValueError, match="show_room=True"):
        PortalRoomsOracle(1).act(steps[-1][0][None], [True])


def test_view_is_minigrids_own() -> None:
    """Our nine cells against MiniGrid's slicing, rotating and encoding of its grid, on a random walk."""
    colour = {0: "R", 1: "G", 2: "B", 3: "P", 4: "Y", 5: "E"}
    env, generator = PortalRooms(rooms=5, max_steps=300), np.random.default_rng(0)
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            image = np.swapaxes(MiniGridEnv.gen_obs(_MiniGridView(env))["image"], 0, 1).tolist()
            # Beyond the walls MiniGrid shows unseen cells (kind 0) as ours show wall.
            kinds = [[{0: "#", 1: ".", 2: "#", 4: colour[cell[1]]}[cell[0]] for cell in row] for row in image]
            assert look(observation)[0] == " ".join("".join(row) for row in kinds)
            observation, _, terminated, truncated, _ = env.step(generator.choice(3, p=[0.2, 0.2, 0.6]))
            ended = terminated or truncated


class _MiniGridView:
    """An environment with MiniGrid's own `gen_obs`, over ours."""

    def __init__(self, env: PortalRooms) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def gen_obs_grid(self) -> Any:
        return self._env.gen_obs_grid()


# Parameters and draws


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    rooms, size = draw(st.integers(2, 12)), draw(st.sampled_from([3, 5, 7]))
    return {
        "rooms": rooms,
        "room_size": size,
        "colours": draw(st.integers(2, 6)),
        "mistakes": draw(st.integers(0, 3)),
        "max_steps": (rooms - 1) * (1 + (size + 1) // 2) + draw(st.integers(0, 500)),
        "pays": draw(st.sampled_from(["every", "first"])),
        "show_direction": draw(st.booleans()),
        **draw(st.sampled_from([{}, {"show_room": False}, {"room_code": "binary"}])),
    }


@settings(max_examples=25, deadline=None)
@given(parameters(), st.integers(0, 2**31))
def test_any_parameters_give_valid_episodes(kwargs: dict[str, Any], seed: int) -> None:
    env = PortalRoomsVector(8, **kwargs)
    observations, infos = env.reset(seed=seed)
    generator, room, furthest = np.random.default_rng(seed), np.ones(8, int), np.ones(8, int)
    for _ in range(60):
        assert observations in env.observation_space
        observations, rewards, terminated, truncated, infos = env.step(
            generator.choice(3, 8, p=[0.2, 0.2, 0.6])
        )
        last = infos.get("final_info", infos)
        ended = terminated | truncated
        now = np.where(ended, last["room"], infos["room"])
        came = np.where(ended, last["cue"], infos["cue"])
        moved_on = now > room
        assert (now[moved_on] == room[moved_on] + 1).all() and (now[~moved_on & came] == 1).all()
        assert (now[~came] == room[~came]).all()
        pays = moved_on & ((kwargs["pays"] == "every") | (now > furthest))
        np.testing.assert_array_equal(rewards, 0.1 * room * pays)
        np.testing.assert_array_equal(terminated & moved_on, now == kwargs["rooms"])
        room = infos["room"]
        furthest = np.where(ended, 1, np.maximum(furthest, now))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(2, 12),
    st.sampled_from([3, 5, 7]),
    st.sampled_from(["one-hot", "binary"]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_oracle_makes_at_most_one_mistake_in_each_room(
    rooms: int, size: int, code: str, direction: bool, seed: int
) -> None:
    """It reaches the end in the steps of one way through and a way back for every room where it began wrong."""
    room_steps = 1 + (size + 1) // 2
    limit = room_steps * rooms * rooms
    env = PortalRooms(
        rooms=rooms, room_size=size, pays="first", max_steps=limit, room_code=code, show_direction=direction
    )
    oracle, total, steps = PortalRoomsOracle(1), 0.0, 0
    observation, _ = env.reset(seed=seed)
    assert env.layout is not None
    wrong = [
        room for room, side in enumerate(env.layout.leads_on[: rooms - 1]) if side == 1
    ]  # it tries left first
    ended, info = False, {}
    while not ended:
        observation, reward, ended, truncated, info = env.step(oracle.act(observation[None], [steps == 0])[0])
        total, steps = total + float(reward), steps + 1
        assert not truncated
    assert info["is_success"] and total == pytest.approx(0.1 * rooms * (rooms - 1) / 2)
    assert steps == room_steps * (rooms - 1 + sum(room + 1 for room in wrong))


def test_draws_have_the_stated_distributions() -> None:
    rules = PortalRules(rooms=2, colours=3)
    colours, leads_on = rules.from_draws(np.random.default_rng(0).random((20_000, rules.draws)))
    assert colours.shape == (20_000, 2, 2) and leads_on.shape == (20_000, 2)
    for left in range(3):
        for right in range(3):
            share = ((colours[..., 0] == left) & (colours[..., 1] == right)).mean(axis=0)
            np.testing.assert_allclose(share, 0 if left == right else 1 / 6, atol=0.015)
    np.testing.assert_allclose(leads_on.mean(axis=0), 0.5, atol=0.02)
    assert abs(np.corrcoef(leads_on.T)[0, 1]) < 0.04


# Pictures


def test_ansi() -> None:
    env = PortalRooms(rooms=3, render_mode="ansi")
    play(env, THREE, BY_LEFT + BY_LEFT + BY_LEFT + [RIGHT, FORWARD])
    assert env.render().splitlines() == [
        "###E###",
        "#.....#",
        "#.....#",
        "#.....#",
        "#..v..#",
        "#.....#",
        "###R###",
        "room 2 of 3, mistakes 1",
    ]


def test_rgb_array() -> None:
    env = PortalRooms(rooms=3, render_mode="rgb_array")
    play(env, THREE, BY_LEFT + BY_LEFT)
    frame = env.render()
    assert (frame.shape, frame.dtype) == ((8 * 32, 7 * 32, 3), np.uint8)
    assert [frame[7 * 32 + 16, x].tolist() for x in (30, 110, 190)] == [
        [255, 255, 255],  # the agent is in the first room again
        [230, 70, 70],  # there was a mistake in the second
        [110, 110, 110],
    ]


def test_observation_image() -> None:
    env = PortalRooms(rooms=3)
    *_, last = play(env, THREE, [LEFT, FORWARD, FORWARD])
    assert look(last[0])[0] == "### #R# ..."
    image = PortalRooms.observation_image(last[0], tile=16)
    assert (image.shape, image.dtype) == ((48, 48, 3), np.uint8)
    red, green, blue = image[16:32, 16:32].reshape(-1, 3).max(axis=0)  # the door ahead
    assert red > 200 > green == blue
    assert (image[8, 8] == 100).all(), "a wall"


# Errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rooms": 1}, r"rooms must be an integer.* >= 2.*, got 1"),
        ({"room_size": 2}, r"room_size must be an integer of cells within \[3, 101\], got 2"),
        ({"room_size": 4}, r"room_size=4: expected an odd number"),
        ({"colours": 1}, r"colours must be an integer within \[2, 6\], got 1"),
        ({"colours": 7}, r"colours must be an integer within \[2, 6\], got 7"),
        ({"mistakes": -1}, r"mistakes must be an integer.* >= 0.*, got -1"),
        ({"max_steps": 195}, r"max_steps=195 for rooms=50: the last room is at least 196 steps away; allow"),
        ({"reward_scale": "much"}, r"reward_scale must be a finite number.*, got 'much'"),
        ({"pays": "never"}, r"pays must be one of 'every', 'first'.*, got 'never'"),
        ({"room_code": "roman"}, r"room_code must be one of 'one-hot', 'binary'.*, got 'roman'"),
        ({"show_room": 1}, r"show_room must be True or False, got 1"),
        ({"show_direction": 2}, r"show_direction must be True or False, got 2"),
        ({"render_mode": "xml"}, r"render_mode='xml': expected None or one of"),
    ],
)
@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_wrong_parameters(make: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doors": 2}, r"expected a dict with exactly the keys 'colours', 'leads_on', such as"),
        ({"leads_on": ["left"]}, r"layout\['leads_on'\]=\['left'\]: expected a list of 3"),
        ({"leads_on": ["left", "up", "left"]}, r"layout\['leads_on'\]\[1\]='up': expected one of 'left'"),
        ({"colours": [["red", "red"]] * 3}, r"\[0\]=\['red', 'red'\]: expected two different colours"),
        ({"colours": [["red"]] * 3}, r"layout\['colours'\]\[0\]=\['red'\]: expected a list of 2"),
        ({"colours": [["red", "pink"]] * 3}, r"layout\['colours'\]\[0\]\[1\]='pink': expected one of 'red'"),
    ],
)
@pytest.mark.parametrize("make", [PortalRooms, PortalRoomsVector])
def test_wrong_layouts(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(rooms=3).reset(options={"layout": {**THREE["layout"], **change}})
