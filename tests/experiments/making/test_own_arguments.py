"""Environments of others from settings: arguments, imports, wrappers, and every space that agents act in."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FlattenObservation, FrameStackObservation

from expirespan.agents import StandardizedExtractor
from expirespan.experiments.episodes.playing import PolicyPlayer, RandomPlayer, play
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.making.agents import make_agent, memory_policy
from expirespan.experiments.making.envs import keeping_envs_open, lent_envs, make_envs, make_training_env
from expirespan.experiments.settings import Config, GymSettings
from expirespan.experiments.settings.config_file import from_yaml, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse_config


class Mine(gym.Env[Any, Any]):
    """Three steps of noise in any spaces; every action must be an element, of the space's own type."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    closed = 0

    def __init__(
        self,
        observation: Any = spaces.Box(-1, 1, (2,)),  # noqa: B008
        action: Any = spaces.Discrete(2),  # noqa: B008
        size: int = 3,
        render_mode: str | None = None,
    ) -> None:
        self.observation_space, self.action_space, self.size = observation, action, size
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert np.asarray(action).dtype == self.action_space.dtype, action
        assert self.action_space.contains(np.asarray(action)), action
        self.time += 1
        return self.observation_space.sample(), 1.0, self.time == self.size, False, {}

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)

    def close(self) -> None:
        type(self).closed += 1


class Sub(Mine):
    """Takes what its base takes, and ``more``."""

    def __init__(self, more: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@pytest.fixture(autouse=True)
def ids() -> Any:
    gym.register("Here/Mine-v0", Mine)
    gym.register("Here/Sub-v0", Sub)
    gym.register("Here/Function-v0", lambda **given: Mine(**given))
    yield
    for name in ("Mine", "Sub", "Function"):
        del gym.registry[f"Here/{name}-v0"]


def told(config: Config, text: list[str]) -> GymSettings:
    found = parse_config(config, ["--env", "gym", *text], "prog", "")
    assert found.eval_env == found.env, "evaluation follows"
    assert from_yaml(to_yaml(found)).env == found.env
    assert isinstance(found.env, GymSettings)
    return found.env


@pytest.mark.parametrize(
    ("text", "kwargs"),
    [
        (["size=5", "name=a b", "on=True", "none=None", "half=0.5", "shape=[1, 2]"],
         {"size": 5, "name": "a b", "on": True, "none": None, "half": 0.5, "shape": [1, 2]}),
        (['{"size": 5, "name": "5", "deep": {"a": [null]}}'], {"size": 5, "name": "5", "deep": {"a": [None]}}),
        (["on=false", "url=a=b"], {"on": False, "url": "a=b"}),
        ([], {}),
    ],
)  # fmt: skip
def test_arguments_as_typed(tiny: Config, text: list[str], kwargs: dict[str, Any]) -> None:
    assert told(tiny, ["--env.kwargs", *text]).parameters == kwargs


@pytest.mark.parametrize("text", ["size", "5=size", "{size: 5}", "=5"])
def test_arguments_that_cannot_be_read(tiny: Config, text: str) -> None:
    with pytest.raises(UserError, match=r"--env\.kwargs") as error:
        told(tiny, ["--env.kwargs", text])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("gym_id", ["Here/Mine-v0", "Here/Sub-v0", "Here/Function-v0"])
def test_arguments_reach_the_constructor_or_are_refused(gym_id: str) -> None:
    given: dict[str, Any] = {"size": 7} | ({"more": 1} if "Sub" in gym_id else {})
    envs: Any = make_envs(GymSettings(gym_id, kwargs=given | {"max_episode_steps": 2}), 2)
    assert [env.unwrapped.size for env in envs.unwrapped.envs] == [7, 7]
    envs.reset()
    assert [envs.step(np.zeros(2, np.int64))[3].tolist() for _ in range(2)] == [[False] * 2, [True] * 2]
    with pytest.raises(UserError, match="sise") as error:
        make_envs(GymSettings(gym_id, kwargs={"sise": 7}), 2)
    assert "\n" not in str(error.value)
    if "Function" not in gym_id:
        assert "did you mean 'size'? expected one of action, " in str(error.value)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("gymnasium.wrappers.TimeAwareObservation", (3,)),
        ("gymnasium.wrappers:TimeAwareObservation(normalize_time=False)", (3,)),
        ("gymnasium.wrappers.FrameStackObservation(4)", (4, 2)),
        ("gymnasium.wrappers.FrameStackObservation(stack_size=2, padding_type='zero')", (2, 2)),
        ("own_wrappers:Twice", (4,)),
    ],
)
def test_wrappers_by_name(
    text: str, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_wrappers.py").write_text(
        "import gymnasium as gym\nimport numpy as np\n"
        "class Twice(gym.ObservationWrapper):\n"
        "    def __init__(self, env):\n"
        "        super().__init__(env)\n"
        "        self.observation_space = gym.spaces.Box(-1, 1, (4,))\n"
        "    def observation(self, observation):\n"
        "        return np.tile(observation, 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    envs = make_envs(GymSettings("Here/Mine-v0", kwargs={"max_episode_steps": 5}, wrappers=(text,)), 3)
    assert envs.single_observation_space.shape == shape and envs.reset(seed=0)[0].shape == (3, *shape)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_wrappers_lie_in_the_order_given_also_around_numpy_and_around_all() -> None:
    wrappers = (
        "gymnasium.wrappers.FlattenObservation",
        "gymnasium.wrappers.FrameStackObservation(2)",
    )
    around = "gymnasium.wrappers.vector.ClipReward(0, 0.25)"
    envs: Any = make_envs(GymSettings("ExpireSpan/Corridor-v0", wrappers=(*wrappers, around)), 1)
    single = envs.unwrapped.envs[0].env  # behind the check of its answers
    assert type(single) is FrameStackObservation and type(single.env) is FlattenObservation
    envs = make_envs(GymSettings("Here/Mine-v0", wrappers=(around,)), 1)
    envs.reset()
    assert envs.step(np.zeros(1, np.int64))[1].tolist() == [0.25]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("TimeAwareObservation", "expected module.Name"),
        (
            "gymnasium.wrappers.TimeAware",
            "gymnasium.wrappers has no TimeAware; did you mean TimeAwareObservation",
        ),
        ("no_such_module.Wrapper", "importing 'no_such_module' failed"),
        ("gymnasium.wrappers.TimeLimit(5", "its arguments cannot be read"),
        ("gymnasium.wrappers.TimeLimit(len)", "its arguments cannot be read"),
        ("gymnasium.wrappers.TimeLimit(steps=5)", "TypeError: .*unexpected keyword argument 'steps'"),
        ("gymnasium.wrappers.ResizeObservation((84, 84))", "ValueError: ResizeObservation requires"),
        ("builtins.str", "makes a str: expected an environment"),
        ("gymnasium.wrappers.NormalizeObservation", "has running statistics, .* use --standardize"),
        ("gymnasium.wrappers.vector.NormalizeReward", "has running statistics, .* --reward-scale"),
        ("gymnasium.wrappers.vector.DictInfoToList", "leave it out"),
    ],
)
def test_wrappers_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        make_envs(GymSettings("Here/Mine-v0", wrappers=(text,)), 2)
    assert "\n" not in str(error.value)


def test_packages_are_found_by_their_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MiniGrid is installed; of the others a module in the working directory plays the part."""
    assert "MiniGrid-Empty-5x5-v0" in make_envs(GymSettings("MiniGrid-Empty-5x5-v0"), 1).spec.id  # type: ignore[union-attr]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for module, gym_id in (
        ("memory_gym", "Endless-MortarMayhem-v0"), ("popgym", "popgym-Mine-v0"), ("own_registers", "Other-v0"),
    ):  # fmt: skip
        (tmp_path / f"{module}.py").write_text(
            f"import gymnasium\ngymnasium.register({gym_id!r}, gymnasium.registry['Here/Mine-v0'].entry_point)\n"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)
        imports = ("own_registers",) if module == "own_registers" else ()
        assert make_envs(GymSettings(gym_id, imports=imports), 1).num_envs == 1
        del gym.registry[gym_id]
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            GymSettings("No-v0"),
            "doesn't exist.* If a module registers it, name that: MODULE:No-v0, or --env.imports",
        ),
        (
            GymSettings("No-v0", imports=("no_such_module",)),
            "--env.imports no_such_module: importing 'no_such_module'",
        ),
        (GymSettings("CartPole-v77"), "v77"),
    ],
)
def test_ids_that_nothing_registers(env: GymSettings, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        make_envs(env, 1)
    assert "\n" not in str(error.value)


def config_for(tiny: Config, **kwargs: Any) -> Config:
    env = GymSettings("Here/Mine-v0", kwargs=kwargs)
    return replace(tiny, env=env, eval_env=env)


ACTIONS = [
    spaces.Box(-2, 3, (2,), np.float64),
    spaces.Box(-2, 3, (), np.int8),
    spaces.Discrete(3, start=-5),
    spaces.MultiDiscrete([2, 3], start=[4, -1], dtype=np.int32),
    spaces.MultiBinary(2),
]


@pytest.mark.parametrize("space", ACTIONS, ids=str)
@pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array")
def test_actions_of_evaluations_are_elements(tiny: Config, space: spaces.Space[Any]) -> None:
    config = config_for(tiny, action=space)
    agent = make_agent(config, make_training_env(config))
    for deterministic in (True, False):
        assert play(PolicyPlayer(agent, 3, deterministic), config.env, 5, 3, 0).steps.tolist() == [3] * 5
        assert record_episode(agent, config.env, 0, deterministic=deterministic).steps == 3
    assert play(RandomPlayer(space, 3, 0), config.env, 5, 3, 0).steps.tolist() == [3] * 5


OBSERVATIONS = [
    (spaces.Box(0, 255, (7, 7, 3), np.uint8), "SmallCNN"),
    (spaces.Box(0, 255, (40, 40, 3), np.uint8), "NatureCNN"),
    (spaces.Box(0, 1, (7, 7, 3), np.uint8), "FlattenExtractor"),
    (spaces.Box(0, 255, (9, 9), np.uint8), "FlattenExtractor"),
    (spaces.Box(-1, 1, ()), "FlattenExtractor"),
    (spaces.Discrete(3, start=2), "FlattenExtractor"),
    (spaces.Dict(a=spaces.Box(0, 255, (7, 7, 3), np.uint8), b=spaces.Discrete(2)), "PartsExtractor"),
    (spaces.Dict(a=spaces.Box(0, 255, (40, 40, 3), np.uint8), b=spaces.Discrete(2)), "CombinedExtractor"),
]


@pytest.mark.parametrize(("space", "extractor"), OBSERVATIONS, ids=str)
def test_the_policy_follows_the_space(tiny: Config, space: spaces.Space[Any], extractor: str) -> None:
    config = config_for(tiny, observation=space)
    agent = make_agent(config, make_training_env(config))
    assert type(memory_policy(agent).features_extractor).__name__ == extractor
    assert record_episode(agent, config.env, 0).steps == 3


def test_a_space_that_is_not_read_names_the_option_that_helps(tiny: Config) -> None:
    config = config_for(tiny, observation=spaces.Tuple((spaces.Discrete(2),)))
    with pytest.raises(UserError, match=r"Tuple.*FlattenObservation \(on the command line --env"):
        make_agent(config, make_training_env(config))


def test_images_are_standardised_as_they_are_read(tiny: Config) -> None:
    """With channels first and pixels from 0 to 1: otherwise the mean of noise would not lie in its middle."""
    config = replace(config_for(tiny, observation=spaces.Box(0, 255, (4, 5, 3), np.uint8)), standardize=4000)
    extractor = memory_policy(make_agent(config, make_training_env(config))).features_extractor
    assert isinstance(extractor, StandardizedExtractor)
    assert extractor.mean.shape == (60,) and (extractor.mean - 0.5).abs().max() < 0.05
    assert (extractor.deviation - 12**-0.5).abs().max() < 0.03


def test_lent_environments_live_as_long_as_they_are_kept() -> None:
    env = GymSettings("Here/Mine-v0")
    before = Mine.closed
    with lent_envs(env, 2) as one:
        pass
    assert Mine.closed == before + 2
    with keeping_envs_open():
        with lent_envs(env, 2) as one:
            pass
        with lent_envs(replace(env, kwargs={}), 2) as same, lent_envs(env, 3) as other:
            assert same is one and other is not one
        assert Mine.closed == before + 2
    assert Mine.closed == before + 2 + 5


def test_messages_fit_in_a_line() -> None:
    """A TypeError of a constructor, too, is one sentence."""
    with pytest.raises(UserError, match=re.escape("environment Here/Function-v0: ")) as error:
        make_envs(GymSettings("Here/Function-v0", kwargs={"nothing": 1}), 1)
    assert "\n" not in str(error.value)
