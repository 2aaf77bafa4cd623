"""The corridor: frames and rewards worked out by hand, draws, and pictures."""

import math
from typing import Any

import numpy as np
import pytest
from gymnasium.utils import seeding
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.minigrid_env import MiniGridEnv

from expirespan.envs import Corridor, CorridorOracle, CorridorVector
from expirespan.envs.corridor.rules import KINDS, CorridorRules, Layout

LEFT, RIGHT, FORWARD = range(3)
LETTERS = dict(zip(".#rbRB", range(6), strict=True))


def view(picture: str) -> np.ndarray:
    """An observation from three words, far to near: `.` empty, `#` wall, `r b` ball, `R B` doors."""
    kinds = [[LETTERS[letter] for letter in row] for row in picture.split()]
    return np.eye(len(KINDS), dtype=np.uint8)[np.array(kinds)]


def layout(length: int = 5, ball: str = "red", red_door: str = "left") -> dict[str, Any]:
    return {"layout": {"length": length, "ball": ball, "red_door": red_door}}


def play(env: Any, options: dict[str, Any], actions: list[int]) -> list[tuple[Any, ...]]:
    """The steps of one episode, after its reset."""
    env.reset(options=options)
    return [env.step(action) for action in actions]


# Frames worked out by hand: the corridor of length 3 is `#####`, `#r#R#`, `#>..#`, `###B#`, `#####`.


def test_frames_of_a_walk_to_the_left_door() -> None:
    env = Corridor()
    observation, info = env.reset(options=layout(3))
    np.testing.assert_array_equal(observation, view("R.B #.# r.#"))
    assert info == {"cue": True, "length": 3}
    expected = [
        (FORWARD, "### R.B #.#", False, False),
        (FORWARD, "### ### R.B", False, False),
        (LEFT, "### #R# ..#", False, False),
        (FORWARD, "### ### #R#", False, True),  # the last observation is from inside the door
    ]
    for action, picture, cue, ends in expected:
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(observation, view(picture))
        assert (reward, terminated, truncated) == (float(ends), ends, False)
        assert info == {"cue": cue, "length": 3} | ({"is_success": True} if ends else {})


def test_frames_of_turning_round() -> None:
    steps = play(Corridor(), layout(3), [RIGHT, RIGHT, RIGHT, RIGHT, FORWARD, FORWARD, LEFT, LEFT])
    frames = [np.asarray(step[0]) for step in steps]
    pictures = [
        "### ### ..#",  # south: the corridor runs off to the left
        "### ### #.r",  # west: the ball to the right
        "### #r# #..",  # north: the ball ahead
        "R.B #.# r.#",  # east again
        "### R.B #.#",
        "### ### R.B",
        "### #R# ..#",  # north at the doors
        "#.r #.# B.R",  # west at the doors: ball and doors in one view, only at length 3
    ]
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame, view(picture))
    assert [step[4]["cue"] for step in steps] == [False, True, True, True, False, False, False, True]


@pytest.mark.parametrize(
    ("ball", "red_door", "turn", "reward"),
    [
        ("red", "left", LEFT, 1.0),
        ("red", "left", RIGHT, 0.0),
        ("blue", "left", LEFT, 0.0),
        ("blue", "left", RIGHT, 1.0),
        ("red", "right", LEFT, 0.0),
        ("red", "right", RIGHT, 1.0),
        ("blue", "right", LEFT, 1.0),
        ("blue", "right", RIGHT, 0.0),
    ],
)
def test_reward_of_every_layout_and_door(ball: str, red_door: str, turn: int, reward: float) -> None:
    actions = [FORWARD] * 3 + [turn, FORWARD]
    for env in (Corridor(), CorridorVector(1)):
        wrap = (lambda action: [action]) if isinstance(env, CorridorVector) else int
        *_, before, last = play(env, layout(4, ball, red_door), [wrap(a) for a in actions])
        assert (before[1], before[2], last[1], last[2], last[3]) == (0, False, reward, True, False)
        info = last[4].get("final_info", last[4])
        assert info["is_success"] == bool(reward)


def test_walls_and_the_ball_stop_the_agent() -> None:
    blocked = [LEFT, FORWARD, LEFT, FORWARD, LEFT, FORWARD]  # at the start: ball, end wall, side wall
    env = Corridor()
    play(env, layout(4), blocked)
    assert env.agent_pos == (1, 2)
    assert not any(step[2] for step in play(env, layout(4), [FORWARD] * 9))
    assert tuple(env.agent_pos) == (4, 2)


def test_time_limit() -> None:
    for max_steps, limit in ((None, 4 * 3 + 16), (7, 7), (1, 1)):
        steps = play(Corridor(max_steps=max_steps), layout(3), [LEFT] * limit)
        assert [step[3] for step in steps] == [False] * (limit - 1) + [True]
        assert steps[-1][1:4] == (0.0, False, True)
        assert steps[-1][4]["is_success"] is False


def test_a_door_entered_in_the_last_step_terminates() -> None:
    for env, wrap in ((Corridor(max_steps=4), int), (CorridorVector(1, max_steps=4), lambda a: [a])):
        last = play(env, layout(3), [wrap(a) for a in (FORWARD, FORWARD, LEFT, FORWARD)])[-1]
        assert (last[1], last[2], last[3]) == (1.0, True, False)


def test_view_is_minigrids_own() -> None:
    """Our nine cells against MiniGrid's slicing, rotating and encoding of its grid, on a random walk."""
    kind_of = {(1, 0): 0, (2, 5): 1, (6, 0): 2, (6, 2): 3, (4, 0): 4, (4, 2): 5}  # (object, colour) ids
    env, generator = Corridor(max_length=6), np.random.default_rng(0)
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        for _ in range(40):
            image = np.swapaxes(MiniGridEnv.gen_obs(_MiniGridView(env))["image"], 0, 1)
            kinds = np.array([[kind_of[cell[0], cell[1]] for cell in row] for row in image.tolist()])
            np.testing.assert_array_equal(observation.argmax(axis=2), kinds)
            observation, _, terminated, truncated, _ = env.step(generator.choice(3, p=[0.2, 0.2, 0.6]))
            if terminated or truncated:
                break  # inside a door, where MiniGrid would show an empty cell


class _MiniGridView:
    """An environment with MiniGrid's own `gen_obs`, over ours."""

    def __init__(self, env: Corridor) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def gen_obs_grid(self) -> Any:
        return self._env.gen_obs_grid()


# Parameters and draws


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(3, 60))
    return {
        "min_length": low,
        "max_length": draw(st.integers(low, low + 40)),
        "length_distribution": draw(st.sampled_from(["uniform", "log_uniform", "mixed"])),
        "max_steps": draw(st.none() | st.integers(1, 50)),
    }


@settings(max_examples=25, deadline=None)
@given(parameters(), st.integers(0, 2**31))
def test_any_parameters_give_valid_episodes(kwargs: dict[str, Any], seed: int) -> None:
    env = CorridorVector(8, **kwargs)
    observations, infos = env.reset(seed=seed)
    lengths = infos["length"]
    assert ((kwargs["min_length"] <= lengths) & (lengths <= kwargs["max_length"])).all()
    assert infos["cue"].all()
    generator, ages = np.random.default_rng(seed), np.zeros(8, int)
    for _ in range(60):
        assert observations in env.observation_space
        assert (observations.sum(axis=-1) == 1).all()
        observations, rewards, terminated, truncated, infos = env.step(generator.integers(3, size=8))
        ages += 1
        limit = 4 * lengths + 16 if kwargs["max_steps"] is None else np.full(8, kwargs["max_steps"])
        np.testing.assert_array_equal(truncated, (ages == limit) & ~terminated)
        assert not (rewards.astype(bool) & ~terminated).any()
        ages[terminated | truncated] = 0
        lengths = infos["length"]


@settings(max_examples=25, deadline=None)
@given(parameters(), st.integers(0, 2**31), st.integers(0, 2**31))
def test_oracle_always_succeeds_given_time(kwargs: dict[str, Any], seed: int, detour: int) -> None:
    """From any pose a detour leads to: it has seen the ball, so it finds the way."""
    env = Corridor(**{**kwargs, "max_steps": 1000})
    oracle, generator = CorridorOracle(1), np.random.default_rng(detour)
    observation, _ = env.reset(seed=seed)
    start, ended, reward = True, False, 0.0
    for step in range(1000):
        action = int(oracle.act(observation[None], [start])[0])
        if step < 15 and not observation[1, 1, 4:].any():
            action = int(generator.integers(3))
        observation, reward, ended, _, _ = env.step(action)
        start = False
        if ended:
            break
    assert ended and reward == 1.0


def test_oracle_forgets_when_an_episode_starts() -> None:
    oracle, doors = CorridorOracle(2), np.stack([view("### ### R.B")] * 2)
    oracle.act(np.stack([view("#.# #.# r.#"), view("#.# #.# b.#")]), [True, True])
    assert oracle.act(doors, [False, False]).tolist() == [LEFT, RIGHT]
    assert oracle.act(doors, [False, True]).tolist() == [
        LEFT,
        LEFT,
    ]  # the second has seen no ball: it looks on
    in_front = np.stack([view("### #B# ..#")] * 2)
    assert oracle.act(in_front, [False, False]).tolist() == [LEFT, LEFT], "a door that it must not enter"


def test_draws_have_the_stated_distributions() -> None:
    generator, _ = seeding.np_random(0)
    uniform = [CorridorRules(max_length=6).draw(generator) for _ in range(8000)]
    for length in (3, 4, 5, 6):
        assert np.mean([drawn.length == length for drawn in uniform]) == pytest.approx(1 / 4, abs=0.02)
    for ball in ("red", "blue"):
        for red_door in ("left", "right"):
            share = np.mean([drawn[1:] == (ball, red_door) for drawn in uniform])
            assert share == pytest.approx(1 / 4, abs=0.02)
    rules = CorridorRules(length_distribution="log_uniform")
    lengths = np.array([rules.draw(generator).length for _ in range(8000)])
    for low, high in ((3, 3), (4, 7), (8, 30), (31, 200)):
        expected = math.log((high + 1) / low) / math.log(201 / 3)
        assert np.mean((low <= lengths) & (lengths <= high)) == pytest.approx(expected, abs=0.02)


def test_very_long_corridors() -> None:
    env, vector, oracle = Corridor(), CorridorVector(2), CorridorOracle(1)
    observation, _ = env.reset(options=layout(10_000, "blue", "right"))
    vector.reset(options=layout(10_000, "blue", "right"))
    ended, steps, reward = False, 0, 0.0
    while not ended:
        action = int(oracle.act(observation[None], [steps == 0])[0])
        observation, reward, ended, _, _ = env.step(action)
        ours = vector.step([action, action])
        steps += 1
    assert (steps, reward) == (10_001, 1.0)
    np.testing.assert_array_equal(ours[1], [1.0, 1.0])
    np.testing.assert_array_equal(ours[4]["final_obs"][1], observation)


def test_layouts_one_for_each_environment() -> None:
    env = CorridorVector(2)
    layouts = [layout(3, "red")["layout"], layout(9, "blue")["layout"]]
    observations, infos = env.reset(options={"layout": layouts})
    np.testing.assert_array_equal(observations, [view("R.B #.# r.#"), view("#.# #.# b.#")])
    np.testing.assert_array_equal(infos["length"], [3, 9])


def test_a_fixed_layout_lasts_one_episode() -> None:
    fixed, free = Corridor(), Corridor()
    fixed.reset(seed=0, options=layout(77))
    free.reset(seed=0)
    assert fixed.layout == Layout(77, "red", "left") != free.layout
    fixed.reset(options=layout(78, "blue"))
    assert fixed.layout == Layout(78, "blue", "left")
    fixed.reset()
    free.reset(seed=0)
    assert fixed.layout == free.layout, "a fixed layout draws nothing"


def test_seeds_of_the_vector() -> None:
    env = CorridorVector(3, max_length=50)
    assert len(env.np_random) == 3 and len(set(env.np_random_seed)) == 3
    by_list, by_int = env.reset(seed=[4, 5, 6])[1], CorridorVector(3, max_length=50).reset(seed=4)[1]
    np.testing.assert_array_equal(by_list["length"], by_int["length"])
    assert env.np_random_seed == (4, 5, 6)
    env.reset(seed=[None, 9, None])
    assert env.np_random_seed == (4, 9, 6)


# Pictures


def test_ansi() -> None:
    env = Corridor(render_mode="ansi")
    play(env, layout(4, "blue", "right"), [FORWARD, RIGHT])
    left, right = "#" * 9, "#" * 7
    assert env.render().splitlines() == [
        "#" * 21,
        left + "b##B#" + right,
        left + ".v..#" + right,
        left + "###R#" + right,
        "#" * 21,
    ]


def test_frames_have_one_size_whatever_the_length() -> None:
    for length in (3, 200, 10_000):
        env = Corridor(render_mode="rgb_array")
        env.reset(options=layout(length))
        frame = env.render()
        assert (frame.shape, frame.dtype) == ((5 * 32, 21 * 32, 3), np.uint8)
        red, _, blue = frame[32 + 16, 10 * 32 + 16]  # the middle of the ball
        assert red > 200 > 100 > blue


def test_observation_image() -> None:
    draw = Corridor.observation_image
    image = draw(view("R.B #.# r.#"), tile=16)
    assert (image.shape, image.dtype) == ((48, 48, 3), np.uint8)
    red, blue, black, grey, white = (255, 70, 70), (80, 130, 255), (0, 0, 0), (110, 110, 110), (255, 255, 255)
    assert tuple(image[40, 8]) == red  # the ball's middle
    assert tuple(image[8, 8]) == black and tuple(image[8, 2]) == red  # the red door is hollow
    assert tuple(image[8, 34]) == blue
    assert tuple(image[24, 8]) == grey and tuple(image[24, 24]) == black
    assert tuple(image[42, 24]) == white  # the agent
    np.testing.assert_array_equal(image, CorridorVector.observation_image(view("R.B #.# r.#").astype(float)))
    assert draw(view("R.B #.# r.#"), tile=4).shape == (12, 12, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 3, 6\): expected ONE observation"):
        draw(np.zeros((2, 3, 3, 6)))
    with pytest.raises(ValueError, match="tile=3"):
        draw(view("R.B #.# r.#"), tile=3)
