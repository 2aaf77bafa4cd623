"""What if it had been forgotten: recorded and asked for later, in every action space, and of the agent that ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal

from expirespan.experiments.episodes import what_if as module
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.episodes.trace import SINCE_3, EpisodeTrace
from expirespan.experiments.episodes.what_if import WhatIf, what_if
from expirespan.experiments.making.agents import make_agent, pretrained_agent
from expirespan.experiments.making.envs import make_training_env
from expirespan.experiments.settings import (
    AdaptiveSpanSettings,
    CompressiveSettings,
    Config,
    CorridorSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    GRUSettings,
    GymSettings,
    LSTMSettings,
)
from expirespan.experiments.settings.errors import UserError

MEMORIES = [
    ExpireSpanSettings(width=16, heads=2, max_span=12, ramp=3.5, init_fraction=0.5),
    FixedWindowSettings(width=16, heads=2, window=7),
    AdaptiveSpanSettings(width=16, heads=2, max_span=9, ramp=2),
    CompressiveSettings(width=16, heads=2, window=5, slots=3, factor=2),
]
ACTIONS = [
    spaces.Discrete(3, start=-5),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(2),
    spaces.Box(-2, 3, (2,), np.float32),
]


class Noise(gym.Env[Any, Any]):
    """Twelve steps of noise in any spaces; with ``masked``, choices are forbidden in turn."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, action: Any, observation: Any = None, masked: bool = False) -> None:
        self.observation_space = observation or spaces.Box(-1, 1, (4,))
        self.action_space, self.masked = action, masked

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), self._info()

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.observation_space.sample(), 1.0, self.time == 12, False, self._info()

    def _info(self) -> dict[str, Any]:
        if not self.masked:
            return {}
        sizes = {spaces.Discrete: [3], spaces.MultiDiscrete: [2, 3], spaces.MultiBinary: [2, 2]}
        mask = np.ones(sum(sizes[type(self.action_space)]), np.int8)
        mask[self.time % len(mask)] = 0
        return {"action_mask": mask}


@pytest.fixture(autouse=True)
def noise() -> Iterator[None]:
    gym.register("Here/Noise-v0", Noise)
    yield
    del gym.registry["Here/Noise-v0"]


def recorded(tiny: Config, memory: Any, env: Any, **options: Any) -> tuple[Any, EpisodeTrace]:
    config = replace(tiny, memory=memory, env=env, eval_env=env)
    agent = make_agent(config, make_training_env(config))
    return agent, record_episode(agent, env, 0, **options)


def assert_agrees(agent: Any, trace: EpisodeTrace, step: int, every: bool = True) -> WhatIf:
    """What was recorded at a step is what is found later, all at once and one at a time."""
    at = trace.removed[step] >= 0
    births = trace.removed[step][at].tolist()
    found = what_if(agent, trace, step, births)
    assert found.step == step and found.removed.tolist() == births
    assert_allclose(found.probability, trace.probability[step], atol=1e-6)
    assert_allclose(found.without, trace.without[step][at], atol=1e-6)
    assert_allclose(found.value, trace.value[step], atol=1e-5)
    assert_allclose(found.value_without, trace.value_without[step][at], atol=1e-5)
    assert_allclose(found.shift, trace.shift[step][at], rtol=1e-3, atol=1e-6)
    for i, birth in enumerate(births if every else births[:1]):
        alone = what_if(agent, trace, step, [birth])
        assert_allclose(alone.without[0], found.without[i], atol=1e-6)
    return found


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: memory.name)
def test_recorded_is_what_is_found_later(tiny: Config, memory: Any) -> None:
    agent, trace = recorded(tiny, memory, CorridorSettings(12, 12, max_steps=20))
    assert trace.steps == 20 and trace.removed.shape == (20, module.MOST)
    assert (trace.removed[0] == -1).all() and not trace.shift[0].any()
    assert_allclose(trace.probability.sum(1), 1, atol=1e-5)
    for step in (0, 3, 19):
        found = assert_agrees(agent, trace, step, every=step == 19)
        everything = what_if(agent, trace, step)
        read = np.flatnonzero(trace.alive_at(step).any(0)[:step])
        if memory.name == "compressive":
            read = read[read > step - memory.window]
        assert_array_equal(everything.removed, read)
        assert set(found.removed) <= set(everything.removed)
    assert (trace.removed[19] >= 0).any() and trace.shift.max() > 0
    first = np.array([trace.attended[layer, 19][trace.attended[layer, 19] < 19][0] for layer in range(2)])
    assert np.isin(first[first > 19 - getattr(memory, "window", 99)], trace.removed[19]).all(), (
        "those read most"
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("action", ACTIONS, ids=str)
def test_every_action_space(tiny: Config, action: Any, masked: bool) -> None:
    if masked and isinstance(action, spaces.Box):
        pytest.skip("continuous actions have no masks")
    env = GymSettings("Here/Noise-v0", kwargs={"action": action, "masked": masked})
    agent, trace = recorded(tiny, MEMORIES[0], env)
    assert_agrees(agent, trace, 11)
    chosen = trace.action.reshape(12, -1)
    if isinstance(action, spaces.Discrete):
        assert_array_equal(trace.probability.argmax(1) - 5, chosen[:, 0])
    elif isinstance(action, spaces.MultiDiscrete):
        assert_array_equal(trace.probability[:, :2].argmax(1), chosen[:, 0])
        assert_array_equal(trace.probability[:, 2:].argmax(1), chosen[:, 1])
    elif isinstance(action, spaces.MultiBinary):
        assert_array_equal(trace.probability > 0.5, chosen)
    else:
        assert_allclose(np.clip(trace.probability, -2, 3), chosen, atol=1e-5)
    if masked and not isinstance(action, spaces.MultiBinary):
        assert trace.allowed.shape == trace.probability.shape
        assert not trace.probability[~trace.allowed].any()
        assert not trace.without[~trace.allowed[:, None].repeat(module.MOST, 1)].any()
    assert trace.allowed.size == 0 or masked


@pytest.mark.parametrize(
    "observation",
    [
        spaces.Discrete(7, start=3),
        spaces.Dict(
            b=spaces.Box(0, 255, (40, 40, 3), np.uint8),
            a=spaces.Discrete(4, start=1),
            c=spaces.Box(-9, 9, (2,)),
        ),
        spaces.Box(0, 255, (40, 40, 3), np.uint8),
    ],
    ids=["Discrete", "Dict", "image"],
)
def test_every_observation_is_read_again_as_it_was(tiny: Config, observation: Any) -> None:
    env = GymSettings("Here/Noise-v0", kwargs={"action": ACTIONS[0], "observation": observation})
    agent, trace = recorded(tiny, MEMORIES[1], env)
    assert_agrees(agent, trace, 9)


@pytest.mark.parametrize("memory", [LSTMSettings(width=16), GRUSettings(width=16)], ids=lambda m: m.name)
def test_one_vector_has_no_single_memories(tiny: Config, memory: Any) -> None:
    agent, trace = recorded(tiny, memory, CorridorSettings(5, 5, max_steps=8))
    assert trace.probability.shape == (8, 3) and trace.removed.size == trace.shift.size == 0
    with pytest.raises(UserError, match="holds one vector and no single memories"):
        what_if(agent, trace, 3)


def test_recording_is_the_same_without_it(tiny: Config) -> None:
    """Nothing but its own fields differs, also where actions are drawn."""
    import torch

    found = []
    for on in (True, False):
        torch.manual_seed(7)
        found.append(
            recorded(tiny, MEMORIES[0], CorridorSettings(5, 5, max_steps=9), what_if=on, deterministic=False)[
                1
            ]
        )
    for item in fields(EpisodeTrace):
        if item.name in {*SINCE_3} - {"heads", "words"}:
            assert getattr(found[1], item.name).size == 0
        else:
            assert_array_equal(getattr(found[0], item.name), getattr(found[1], item.name))


def test_what_takes_too_much_is_left_out(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    env = GymSettings("Here/Noise-v0", kwargs={"action": spaces.Discrete(65)})
    agent, trace = recorded(tiny, MEMORIES[0], env)
    assert trace.probability.size == trace.without.size == 0
    assert trace.shift.shape == trace.value_without.shape == (12, module.MOST) and trace.shift.max() > 0
    found = what_if(agent, trace, 8)
    assert found.without.shape[1] == 65 and trace.shift[8].max() == pytest.approx(found.shift.max(), rel=1e-3)
    monkeypatch.setattr(module, "WITHOUT_BYTES", 4 * 12 * module.MOST * 3 - 1)
    less = recorded(tiny, MEMORIES[0], GymSettings("Here/Noise-v0", kwargs={"action": ACTIONS[0]}))[1]
    assert less.probability.shape == (12, 3) and less.without.size == 0 and less.shift.size


def test_what_cannot_be_asked(tiny: Config) -> None:
    agent, trace = recorded(tiny, MEMORIES[1], CorridorSettings(12, 12, max_steps=20))
    with pytest.raises(UserError, match=r"step=20: expected a step of the episode, .* 0 to 19"):
        what_if(agent, trace, 20)
    with pytest.raises(UserError, match=r"removed=2: step 15 cannot read .* 9, 10, 11, 12, 13, 14"):
        what_if(agent, trace, 15, [2])
    with pytest.raises(UserError, match=r"removed=0: .* \(none\)"):
        what_if(agent, trace, 0, [0])
    bare = replace(trace, observation=np.zeros((20, 0)))
    with pytest.raises(UserError, match="has no observations"):
        what_if(agent, bare, 3)
    agent.policy.set_training_mode(True)
    what_if(agent, trace, 3)
    assert agent.policy.training


def test_files_keep_it_and_older_files_load(tiny: Config, tmp_path: Path) -> None:
    _, trace = recorded(tiny, MEMORIES[0], CorridorSettings(5, 5, max_steps=9))
    path = tmp_path / "trace.npz"
    trace.save(path)
    again = EpisodeTrace.load(path)
    for name in SINCE_3:
        assert_array_equal(getattr(again, name), getattr(trace, name))
    with np.load(path) as file:
        data = {name: file[name] for name in file.files if name != "digest"}
    old = {name: array for name, array in data.items() if name not in SINCE_3} | {"version": 2}
    np.savez(path, **old)
    assert EpisodeTrace.load(path).removed.size == 0
    np.savez(path, **(old | {"version": 3}))
    with pytest.raises(UserError, match="incomplete trace without heads, words, allowed, probability"):
        EpisodeTrace.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("removed", np.full((9, 8), 9), "removed refers"),
        ("removed", np.full((9, 8), -2), "removed refers"),
        ("removed", np.full((8, 8), -1), "removed has 8 entries for 9"),
        ("shift", np.zeros((9, 7), np.float32), r"shift has shape \(9, 7\): expected \(9, 8\)"),
        ("value_without", np.zeros((9, 1), np.float32), "value_without has shape"),
        ("without", np.zeros((9, 8, 4), np.float32), r"expected \(9, 8, 3\)"),
        ("probability", np.zeros((9, 3), int), "probability holds"),
    ],
)
def test_wrong_fields_are_refused(tiny: Config, name: str, value: Any, message: str) -> None:
    _, trace = recorded(tiny, MEMORIES[0], CorridorSettings(5, 5, max_steps=9))
    with pytest.raises(ValueError, match=message):
        replace(trace, **{name: value})


def test_without_the_ball_the_door_is_a_coin_toss() -> None:
    """The agent that ships, in the four cases: two balls, and on which side the door of that colour is.

    At the turn towards a door it holds the ball of step 0. Without that memory it turns as if by habit: wherever the
    ball's door is, so that over the four cases it is as often right as wrong. No other memory matters.
    """
    agent, env = pretrained_agent("corridor"), CorridorSettings(30, 30)
    cases: dict[tuple[bytes, int], tuple[float, float]] = {}
    for seed in range(12):
        trace = record_episode(agent, env, seed)
        turn = int(np.flatnonzero(trace.action[10:] != 2)[0]) + 10
        ball = trace.removed[turn] == 0
        assert trace.outcome == "success" and ball.sum() == 1
        action = int(trace.action[turn])
        with_it, without = trace.probability[turn, action], trace.without[turn, ball, action][0]
        cases[trace.observation[0].tobytes(), action] = (float(with_it), float(without))
        others = trace.removed[turn] > 0
        assert others.any() and trace.shift[turn, others].max() < 0.01
    assert len(cases) == 4
    right, guessed = np.mean(list(cases.values()), axis=0)
    assert right > 0.95
    assert 0.4 < guessed < 0.6
