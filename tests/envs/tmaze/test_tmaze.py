"""The endless T-maze: rewards worked out by hand, draws, pictures, errors, and the numbers on its card."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expirespan.envs import EndlessTMaze, EndlessTMazeOracle, EndlessTMazeVector
from expirespan.envs.tmaze.rules import TMazeRules

LEFT, RIGHT, FORWARD = range(3)


def layout(*corridors: tuple[int, str]) -> dict[str, Any]:
    return {"layout": {"lengths": [length for length, _ in corridors], "cues": [cue for _, cue in corridors]}}


def play(env: Any, options: dict[str, Any], actions: list[int]) -> list[tuple[Any, ...]]:
    env.reset(options=options)
    wrap = (lambda action: [action]) if isinstance(env, EndlessTMazeVector) else int
    return [env.step(wrap(action)) for action in actions]


def test_two_corridors_step_by_step() -> None:
    env = EndlessTMaze(corridors=2, min_length=1, max_length=4)
    observation, info = env.reset(options=layout((2, "left"), (1, "right")))
    np.testing.assert_array_equal(observation, np.float32([1, 0, 0, 0]))
    assert info == {"cue": True, "passed": 0}
    expected = [  # action, observation (cue left, cue right, junction, position / 4), reward, passed
        (LEFT, [1, 0, 0, 0], -0.01, 0),  # no turning at the start
        (FORWARD, [0, 0, 0, 0.25], 0.0, 0),
        (RIGHT, [0, 0, 0, 0.25], -0.01, 0),
        (FORWARD, [0, 0, 1, 0.5], 0.0, 0),
        (FORWARD, [0, 0, 1, 0.5], -0.01, 0),  # a wall ahead
        (LEFT, [0, 1, 0, 0], 1.0, 1),
        (FORWARD, [0, 0, 1, 0.25], 0.0, 1),
        (RIGHT, [0, 0, 0, 0], 1.0, 2),
    ]
    for step, (action, seen, reward, passed) in enumerate(expected):
        last = step == len(expected) - 1
        observation, *rest, info = env.step(action)
        np.testing.assert_array_equal(observation, np.float32(seen))
        assert rest == [reward, last, False]
        cue = bool(seen[0] or seen[1])
        assert info == {"cue": cue, "passed": passed} | ({"is_success": True} if last else {})


@pytest.mark.parametrize("cue", ["left", "right"])
@pytest.mark.parametrize("turn", [LEFT, RIGHT])
def test_reward_of_every_turn_in_the_last_corridor(cue: str, turn: int) -> None:
    right = turn == ["left", "right"].index(cue)
    for env in (
        EndlessTMaze(corridors=2, max_length=6, min_length=2),
        EndlessTMazeVector(1, 2, max_length=6, min_length=2),
    ):
        actions = [FORWARD] * 6 + [RIGHT] + [FORWARD] * 2 + [turn]
        *_, last = play(env, layout((6, "right"), (2, cue)), actions)
        assert (last[1], last[2], last[3]) == (1.0 if right else -1.0, True, False)
        info = last[4].get("final_info", last[4])
        assert (info["is_success"], info["passed"]) == (right, 1 + right)


def test_a_wrong_turn_ends_the_first_corridor() -> None:
    *_, last = play(EndlessTMaze(), layout((5, "left"), (5, "left"), (5, "left")), [FORWARD] * 5 + [RIGHT])
    assert last[1:4] == (-1.0, True, False)
    assert last[4] == {"cue": False, "passed": 0, "is_success": False}
    np.testing.assert_array_equal(last[0], np.zeros(4, np.float32))


def test_time_limit() -> None:
    for max_steps, limit in ((None, 6 * (5 + 1) * 3), (18, 18)):
        steps = play(EndlessTMaze(max_steps=max_steps), {}, [LEFT] * limit)
        assert [step[3] for step in steps] == [False] * (limit - 1) + [True]
        assert steps[-1][1:4] == (-0.01, False, True) and steps[-1][4]["is_success"] is False
    last = play(EndlessTMaze(1, max_steps=6), layout((5, "left")), [FORWARD] * 5 + [LEFT])[-1]
    assert last[1:4] == (1.0, True, False), "passing in the last step is no time-out"


# Parameters and draws


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    low, corridors = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    high = draw(st.integers(low, low + 8))
    least = corridors * (high + 1)
    return {
        "corridors": corridors,
        "min_length": low,
        "max_length": high,
        "delay_penalty": draw(st.floats(0, 0.1)),
        "max_steps": draw(st.none() | st.integers(least, least + 20)),
    }


@settings(max_examples=25, deadline=None)
@given(parameters(), st.integers(0, 2**31))
def test_any_parameters_give_valid_episodes(kwargs: dict[str, Any], seed: int) -> None:
    env = EndlessTMazeVector(8, **kwargs)
    observations, infos = env.reset(seed=seed)
    assert infos["cue"].all()
    generator, passed = np.random.default_rng(seed), np.zeros(8, int)
    for _ in range(60):
        assert observations in env.observation_space
        np.testing.assert_array_equal(observations[:, :2].any(axis=1), infos["cue"])
        observations, rewards, terminated, truncated, infos = env.step(generator.integers(3, size=8))
        ended, right = terminated | truncated, rewards == 1
        assert set(rewards.tolist()) <= {1.0, -1.0, 0.0, -kwargs["delay_penalty"]}
        assert terminated[rewards == -1].all()
        np.testing.assert_array_equal(infos["passed"], np.where(ended, 0, passed + right))
        if ended.any():
            success = infos["final_info"]["is_success"]
            np.testing.assert_array_equal(success, terminated & (passed + right == kwargs["corridors"]))
        passed = infos["passed"]


@settings(max_examples=25, deadline=None)
@given(parameters(), st.integers(0, 2**31), st.integers(0, 2**31))
def test_oracle_always_succeeds_given_time(kwargs: dict[str, Any], seed: int, detour: int) -> None:
    """Delays away from junctions cost their penalty and nothing else."""
    env = EndlessTMaze(**{**kwargs, "max_steps": 10_000})
    oracle, generator, total, delays = EndlessTMazeOracle(1), np.random.default_rng(detour), 0.0, 0
    observation, _ = env.reset(seed=seed)
    start, ended, info = True, False, {}
    while not ended:
        action = int(oracle.act(observation[None], [start])[0])
        start = False
        if not observation[2] and generator.random() < 0.3:
            action, delays = int(generator.integers(2)), delays + 1
        observation, reward, ended, truncated, info = env.step(action)
        total += float(reward)
        assert not truncated
    assert info["is_success"]
    assert total == pytest.approx(kwargs["corridors"] - delays * kwargs["delay_penalty"])


def test_draws_have_the_stated_distributions() -> None:
    rules = TMazeRules(corridors=4, min_length=2, max_length=5)
    lengths, cues = rules.from_draws(np.random.default_rng(0).random((20_000, rules.draws)))
    assert lengths.shape == cues.shape == (20_000, 4)
    for length in range(2, 6):
        np.testing.assert_allclose((lengths == length).mean(axis=0), 1 / 4, atol=0.02)
    np.testing.assert_allclose(cues.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(np.hstack([lengths, cues]).T), np.eye(8), atol=0.04)


# Pictures


def test_ansi() -> None:
    env = EndlessTMaze(corridors=2, min_length=2, max_length=3, render_mode="ansi")
    play(env, layout((2, "left"), (3, "right")), [FORWARD])
    assert env.render().splitlines() == [
        "#" * 15,
        "######b#.######",
        "######.>.######",
        "########.######",
        "#" * 15,
        "corridor 1 of 2, passed 0",
    ]
    for action in (FORWARD, LEFT, FORWARD, FORWARD, FORWARD, RIGHT):
        env.step(action)
    assert env.render().splitlines()[1:] == [
        "#######.#######",
        "####....#######",
        "####r##v#######",
        "#" * 15,
        "corridor 2 of 2, passed 2",
    ]


def test_frames_have_one_size_whatever_the_length() -> None:
    for length in (1, 40):
        env = EndlessTMaze(1, length, length, render_mode="rgb_array")
        env.reset(options=layout((length, "right")))
        frame = env.render()
        assert (frame.shape, frame.dtype) == ((6 * 32, 15 * 32, 3), np.uint8)
        red, _, blue = frame[3 * 32 + 16, 7 * 32 + 16]  # the middle of the ball beside the start
        assert red > 200 > 100 > blue


def test_observation_image() -> None:
    for cell, side in (([1, 0, 0, 0], 0), ([0, 1, 0, 0], 2), ([0, 0, 1, 1], None), ([0, 0, 0, 0.4], None)):
        image = EndlessTMaze.observation_image(np.float32(cell), tile=16)
        assert (image.shape, image.dtype) == ((48, 48, 3), np.uint8)
        middles = [image[16 * row + 8, 24].tolist() for row in (0, 2)]
        if side is not None:
            assert middles[side // 2] == ([0, 0, 255] if side == 0 else [255, 0, 0])
        else:
            assert middles == [[0, 0, 0]] * 2 if cell[2] else [[100, 100, 100]] * 2


def test_minigrids_own_map_is_the_corridor() -> None:
    env = EndlessTMaze(corridors=1, max_length=5, min_length=3)
    play(env, layout((3, "left")), [FORWARD, FORWARD])
    kinds = [[getattr(env.grid.get(x, y), "type", ".")[0] for x in range(6)] for y in range(5)]
    assert ["".join(row) for row in kinds] == ["wwwwww", "wbww.w", "w....w", "wwww.w", "wwwwww"]
    assert (tuple(env.agent_pos), env.agent_dir) == ((3, 2), 0)


# Errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"corridors": 0}, r"corridors must be an integer.* >= 1.*, got 0"),
        ({"min_length": 0}, r"min_length must be an integer.* >= 1.*, got 0"),
        ({"min_length": 6}, r"max_length=5 is below min_length=6: raise"),
        ({"delay_penalty": -0.1}, r"delay_penalty must be a finite number >= 0, got -0.1"),
        ({"delay_penalty": float("nan")}, r"delay_penalty must be a finite number.*, got nan"),
        ({"max_steps": 0}, r"max_steps must be an integer.* >= 1.*, got 0"),
        ({"max_steps": 17}, r"max_steps=17 for corridors=3 of max_length=5: the end can be 18 steps away"),
        ({"render_mode": "xml"}, r"render_mode='xml': expected None or one of \[.*'rgb_array'"),
    ],
)
@pytest.mark.parametrize("make", [EndlessTMaze, EndlessTMazeVector])
def test_wrong_parameters(make: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lengths": [5, 5, 5]}, r"expected a dict with exactly the keys 'lengths', 'cues', such as"),
        ({"lengths": [5, 5], "cues": ["left"] * 3}, r"layout\['lengths'\]=\[5, 5\]: expected a list of 3"),
        ({"lengths": [5, 0, 5], "cues": ["left"] * 3}, r"layout\['lengths'\]\[1\]=0: expected an integer"),
        ({"lengths": [5, 5, 6], "cues": ["left"] * 3}, r"\[2\]=6 is above max_length=5.*raise max_length"),
        (
            {"lengths": [5] * 3, "cues": ["left", "up", "left"]},
            r"layout\['cues'\]\[1\]='up': expected one of 'left', 'right'",
        ),
    ],
)
@pytest.mark.parametrize("make", [EndlessTMaze, EndlessTMazeVector])
def test_wrong_layouts(make: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().reset(options={"layout": given})


# The card


def returns_and_success(policy: Any, episodes: int, **kwargs: Any) -> tuple[float, float]:
    """Means over the first episode of each environment."""
    env, generator = EndlessTMazeVector(episodes, **kwargs), np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    first, total, success = np.ones(episodes, bool), 0.0, 0
    while first.any():
        observations, rewards, terminated, truncated, infos = env.step(policy(observations, generator))
        total += float(rewards[first].sum())
        ended = first & (terminated | truncated)
        success += int(infos["final_info"]["is_success"][ended].sum()) if ended.any() else 0
        first &= ~ended
    return total / episodes, success / episodes


def uniform(observations: Any, generator: np.random.Generator) -> Any:
    return generator.integers(3, size=len(observations))


def guess(observations: Any, generator: np.random.Generator) -> Any:
    """The best without memory: walk on, and at a junction turn to either side."""
    return np.where(observations[:, 2] > 0, generator.integers(2, size=len(observations)), FORWARD)


def test_chance() -> None:
    """Two of three actions delay, so 10 in 5 cells and 1 / 2 at the junction; 1 + 1/2 + 1/4 corridors."""
    total, success = returns_and_success(uniform, 40_000)
    assert pytest.approx(-0.184, abs=5e-4) == -0.01 * 10.5 * 1.75
    assert total == pytest.approx(-0.184, abs=0.03)
    assert success == pytest.approx(1 / 8, abs=0.008)


def test_memoryless_ceiling() -> None:
    total, success = returns_and_success(guess, 40_000)
    assert (total, success) == (pytest.approx(0, abs=0.03), pytest.approx(1 / 8, abs=0.008))
    env = EndlessTMazeVector(2, 1)
    env.reset(options={"layout": [layout((5, cue))["layout"] for cue in ("left", "right")]})
    for _ in range(5):
        observations = env.step([FORWARD, FORWARD])[0]
        np.testing.assert_array_equal(
            observations[0], observations[1], err_msg="nothing tells the cues apart"
        )
