"""Wrong use of the corridor: each error names the value, what is expected, and what to do."""

from typing import Any

import gymnasium as gym
import pytest

from expirespan.envs import Corridor, CorridorVector

LAYOUT = {"length": 5, "ball": "red", "red_door": "left"}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"min_length": 2}, r"min_length must be an integer.* >= 3.*, got 2"),
        ({"min_length": 3.5}, r"min_length must be an integer.*, got 3.5"),
        ({"max_length": True}, r"max_length must be an integer.*, got True"),
        ({"min_length": 9, "max_length": 8}, r"max_length=8 is below min_length=9: raise"),
        (
            {"length_distribution": "gauss"},
            r"length_distribution must be one of 'uniform', 'log_uniform', 'mixed'.*, got 'gauss'",
        ),
        ({"max_steps": 0}, r"max_steps must be an integer.* >= 1.*, got 0"),
        ({"render_mode": "xml"}, r"render_mode='xml': expected None or one of \[.*'rgb_array'"),
    ],
)
@pytest.mark.parametrize("make", [Corridor, CorridorVector])
def test_wrong_parameters(make: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lay": 1}, r"unknown reset options \['lay'\]: the only option is 'layout'"),
        ({"layout": "long"}, r"layout='long': expected a dict with exactly the keys"),
        ({"layout": {"length": 5, "ball": "red"}}, r"expected a dict with exactly the keys"),
        (
            {"layout": {**LAYOUT, "width": 1}},
            r"'width': 1.*expected a dict with exactly the keys",
        ),
        ({"layout": {**LAYOUT, "length": 2}}, r"layout\['length'\]=2: expected an integer of at least 3"),
        ({"layout": {**LAYOUT, "ball": "green"}}, r"layout\['ball'\]='green': expected one of 'red', 'blue'"),
        (
            {"layout": {**LAYOUT, "red_door": "up"}},
            r"layout\['red_door'\]='up': expected one of 'left', 'right'",
        ),
    ],
)
@pytest.mark.parametrize("make", [Corridor, CorridorVector])
def test_wrong_options(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().reset(options=options)


@pytest.mark.parametrize("action", [3, -1, 1.5, "left", None])
def test_wrong_actions(action: Any) -> None:
    scalar, vector = Corridor(), CorridorVector(2)
    scalar.reset(seed=0)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="expected 0"):
        scalar.step(action)
    with pytest.raises(ValueError, match="expected"):
        vector.step([action, 0])
    with pytest.raises(ValueError, match="expected 2 integers"):
        vector.step([0, 0, 0])


def test_a_finished_episode_is_not_stepped() -> None:
    env = Corridor(max_steps=1)
    env.reset()
    env.step(0)
    with pytest.raises(gym.error.ResetNeeded, match="after the end of an episode: call reset"):
        env.step(0)
    env.reset()
    env.step(0)


def test_wrong_numbers_of_things() -> None:
    with pytest.raises(ValueError, match="num_envs must be an integer >= 1, got 0"):
        CorridorVector(0)
    with pytest.raises(ValueError, match=r"seed=.*: expected an int, or a list of 2"):
        CorridorVector(2).reset(seed=[1])
    with pytest.raises(ValueError, match="1 layouts for 2"):
        CorridorVector(2).reset(options={"layout": [LAYOUT]})
    with pytest.raises(ValueError, match="make the scalar environment"):
        CorridorVector(2, render_mode="human")
    with pytest.raises(gym.error.ResetNeeded, match="render"):
        Corridor(render_mode="ansi").render()
