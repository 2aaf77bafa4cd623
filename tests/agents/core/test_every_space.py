"""Every kind of space of Gymnasium: read and acted in, or refused at construction with a remedy that works."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.preprocessing import is_image_space

from expirespan.agents import MemoryPPO

LOW, HIGH = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def image(*shape: int) -> Box:
    return Box(0, 255, shape, np.uint8)


READ = [
    *(Box(-1, 1, (3,), kind) for kind in (np.float16, np.float32, np.float64)),
    *(Box(0, 9, (2,), kind) for kind in (np.int8, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)),
    Box(0, 1, (2,), np.bool_),
    Box(-np.inf, np.inf, (2, 3), np.float64),
    Box(np.array([-np.inf, 0]), np.array([0, np.inf]), dtype=np.float32),
    Box(-5, 5, (), np.float32),
    Box(-5, 5, (), np.int64),
    *map(image, (1, 3, 7, 64), (1, 3, 7, 64), (1, 3, 3, 3)),
    *(
        image(*shape)
        for shape in ((36, 36, 1), (35, 36, 1), (60, 44, 3), (3, 7, 7), (2, 9, 3), (9, 9), (4, 9, 9, 3))
    ),
    Box(0, 1, (9, 9, 3), np.float32),
    *(Discrete(3, start=start) for start in (0, 5, -2)),
    Discrete(3, dtype=np.int8),
    MultiDiscrete([2, 3]),
    MultiDiscrete([2, 3], start=[1, -4]),
    MultiBinary(3),
    MultiBinary([2, 2]),
    Dict(
        a=Box(-1, 1, (2,)),
        b=Discrete(3, start=2),
        c=MultiDiscrete([2, 2], start=[1, 1]),
        d=MultiBinary([2, 1]),
    ),
    Dict(a=image(7, 7, 3), b=Box(0, 1, ())),
    Dict(a=image(40, 40, 3), b=image(7, 7, 3)),
    Dict({"type": Box(0, 1, (2,)), "a.b": Discrete(2), "": Discrete(2)}),
]
NOT_READ = [
    Box(0, 1, (0,)),
    Box(0, 1, (2, 0)),
    MultiDiscrete([[2, 3], [2, 2]]),
    MultiDiscrete([[2, 3], [2, 2]], start=[[1, 1], [0, 2]]),
    Dict(),
    Dict(a=Box(0, 1, (0,)), b=Discrete(2)),
    Dict(a=image(7, 7, 3), b=image(3, 7, 7)),
    Dict(a=Dict(b=Discrete(2, start=1), c=Box(0, 1, (2,)))),
    Dict(a=Tuple((Discrete(2),)), b=Discrete(2)),
    Dict(a=Text(4), b=Discrete(2)),
    Dict(a=Dict(b=Sequence(Discrete(2))), b=Discrete(2)),
    Tuple(()),
    Tuple((Discrete(2), Box(0, 1, (2,)))),
    Tuple((Dict(a=Discrete(2)), Tuple((MultiBinary(2),)))),
    Tuple((Sequence(Discrete(2)),)),
    Text(5),
    Sequence(Discrete(2)),
    Sequence(Box(0, 1, (2,)), stack=True),
    Graph(Box(0, 1, (2,)), Discrete(2)),
    OneOf((Discrete(2), Box(0, 1, (2,)))),
]
ACTED_IN = [
    *(Box(-2, 3, (2,), kind) for kind in (np.float16, np.float32, np.float64, np.int8, np.int64)),
    Box(-1, 1, (), np.float32),
    Box(-1, 1, (2, 2), np.float64),
    Box(np.array([-0.1, 5]), np.array([0.3, 6]), dtype=np.float32),
    Box(0, 255, (2,), np.uint8),
    Box(3, 4, (), np.int16),
    Box(LOW, HIGH, (1,), np.int64),
    Box(0, 1, (2,), np.bool_),
    *(Discrete(3, start=start) for start in (0, 5, -2)),
    Discrete(1),
    Discrete(3, start=1, dtype=np.int8),
    MultiDiscrete([2, 3]),
    MultiDiscrete([2, 3], start=[4, -1], dtype=np.int32),
    MultiBinary(2),
]
NOT_ACTED_IN = [
    Box(-np.inf, np.inf, (2,)),
    Box(0, np.inf, (2,)),
    Box(-np.inf, np.array([0, 1]), dtype=np.float64),
    Box(0, 1, (0,)),
    MultiDiscrete([[2, 3], [2, 2]]),
    MultiBinary([2, 2]),
    Dict(a=Discrete(2)),
    Tuple((Discrete(2), Box(0, 1, (2,)))),
    Tuple(()),
    Text(3),
    Sequence(Discrete(2)),
    Graph(Discrete(2), None),
    OneOf((Discrete(2), Box(0, 1, (2,)))),
]


class Noise(gym.Env[Any, Any]):
    """Episodes of three steps of noise, ended in either way; every action must be an element, of the space's type."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.acted = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert_element(action, self.action_space)
        self.acted += 1
        self.time += 1
        over, cut = self.time == 3, bool(self.np_random.integers(2))
        return self.observation_space.sample(), self.np_random.normal(), over and cut, over and not cut, {}


def assert_element(action: Any, space: spaces.Space[Any]) -> None:
    """A vector environment hands a lone number on as a scalar of numpy, which Box takes for an array with a warning."""
    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        assert space.contains(action)
        return
    array = np.asarray(action)
    assert array.dtype == space.dtype and space.contains(array), (action, space)


def agent_in(env: gym.Env[Any, Any], **kwargs: Any) -> MemoryPPO:
    space = env.observation_space
    policy = (
        "CnnPolicy"
        if is_image_space(space)
        else "MultiInputPolicy"
        if isinstance(space, Dict)
        else "MlpPolicy"
    )
    memory = {"width": 8, "layers": 1, "heads": 2, "max_span": 4, "ramp": 2, "positions": 4}
    given = {"memory_kwargs": memory, **kwargs.pop("policy_kwargs", {})}
    envs = SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP)
    kwargs = {"n_steps": 4, "batch_size": 4, "n_epochs": 1, "seed": 0, "device": "cpu"} | kwargs
    return MemoryPPO(policy, envs, policy_kwargs=given, **kwargs)


def use(env: gym.Env[Any, Any], path: Any, **kwargs: Any) -> None:
    """Rollouts and updates, predictions for one and for many, an evaluation, and a file."""
    inner: Any = env.unwrapped
    inner.acted = 0
    agent = agent_in(env, **kwargs)
    agent.learn(8)
    assert inner.acted == 8
    evaluate_policy(agent, agent.env, n_eval_episodes=2, deterministic=False, warn=False)  # type: ignore[arg-type]
    assert inner.acted == 8 + 6
    for deterministic in (True, False):
        action, _ = agent.predict(env.observation_space.sample(), deterministic=deterministic)
        assert_element(action, env.action_space)
    agent.save(path)
    loaded = MemoryPPO.load(path, agent.env, device="cpu")
    assert (loaded.observation_space, loaded.action_space) == (agent.observation_space, agent.action_space)


@pytest.mark.parametrize("space", READ, ids=str)
def test_observations_that_are_read(space: spaces.Space[Any], tmp_path: Any) -> None:
    use(Noise(space, Discrete(2)), tmp_path / "agent")


@pytest.mark.parametrize("space", ACTED_IN, ids=str)
@pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array")
def test_actions_that_reach_the_environment_are_elements(space: spaces.Space[Any], tmp_path: Any) -> None:
    use(Noise(Box(-1, 1, (2,)), space), tmp_path / "agent")
    if isinstance(space, Box):
        loud = {"use_sde": True, "policy_kwargs": {"squash_output": True, "log_std_init": 3.0}}
        use(Noise(Box(-1, 1, (2,)), space), tmp_path / "agent", **loud)


def refusal(env: gym.Env[Any, Any]) -> str:
    with pytest.raises(ValueError, match="space") as error:
        agent_in(env)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=re.escape(str(error.value))):
        MemoryPPO("MlpPolicy", env)  # a single environment is refused in the same words
    return str(error.value)


@pytest.mark.parametrize("space", NOT_READ, ids=str)
def test_observations_that_are_refused_and_what_helps(space: spaces.Space[Any], tmp_path: Any) -> None:
    env = Noise(space, Discrete(2))
    said = refusal(env)
    named = re.match(r"observation_space(?:\['(\w+)'\])? (?:is|has) ", said)
    assert named and " ".join(str(space[named[1]] if named[1] else space).split()) in said
    remedies = re.findall(r"(?:gymnasium|minigrid)\.(?:wrappers\.)?(\w+)(?:\(env, (\[.*\])\))?", said)
    assert remedies
    for wrapper, keys in remedies:
        if wrapper == "FlattenObservation":
            use(gym.wrappers.FlattenObservation(env), tmp_path / "agent")
        elif wrapper == "FilterObservation":
            use(gym.wrappers.FilterObservation(env, eval(keys)), tmp_path / "agent")
        else:
            assert wrapper in ("ObservationWrapper", "TransformObservation") and hasattr(
                gym, "ObservationWrapper"
            )


@pytest.mark.parametrize("space", NOT_ACTED_IN, ids=str)
def test_actions_that_are_refused_and_what_helps(space: spaces.Space[Any], tmp_path: Any) -> None:
    env = Noise(Box(-1, 1, (2,)), space)
    said = refusal(env)
    assert f"action_space is {' '.join(str(space).split())}, " in said
    assert "gymnasium.wrappers.TransformAction(env, function, action_space)" in said
    space.seed(0)
    new = re.search(r"action_space of ((?:Box|Multi)\w*\(.*?\))(?: or other finite bounds)?$", said)
    other: Any = eval(new[1]) if new else Discrete(3)
    use(gym.wrappers.TransformAction(env, lambda action: space.sample(), other), tmp_path / "agent")


def test_every_kind_of_space_is_tried() -> None:
    kinds = {
        kind for kind in vars(spaces).values() if isinstance(kind, type) and issubclass(kind, spaces.Space)
    }
    kinds -= {spaces.Space}
    assert (
        kinds
        == {type(space) for space in READ + NOT_READ}
        == {type(space) for space in ACTED_IN + NOT_ACTED_IN}
    )


class Odd(spaces.Space[int]):
    """A space of somebody's own."""


@pytest.mark.parametrize("spaces_", [(Odd(), Discrete(2)), (Discrete(2), Odd())])
def test_a_space_of_ones_own_is_refused(spaces_: tuple[spaces.Space[Any], spaces.Space[Any]]) -> None:
    with pytest.raises(ValueError, match=r"space is <.*Odd.*expected Box, Discrete, MultiDiscrete"):
        MemoryPPO("MlpPolicy", Noise(*spaces_))


@pytest.mark.parametrize(
    ("observation", "action"),
    [(Discrete(2, start=1), Discrete(2)), (Box(0, 1, ()), Discrete(2)), (Discrete(2), Discrete(2, start=1)),
     (Discrete(2), MultiDiscrete([2, 2], start=[0, 1])), (Discrete(2), Box(0, 3, (1,), np.int64))],
)  # fmt: skip
def test_policies_without_memory_refuse_what_they_would_shift(
    observation: spaces.Space[Any], action: spaces.Space[Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="policies without memory such as ActorCriticPolicy") as error:
            MemoryPPO(PPO.policy_aliases["MlpPolicy"], Noise(observation, action))
        MemoryPPO(PPO.policy_aliases["MlpPolicy"], Noise(Discrete(2), Discrete(2)))
    assert "\n" not in str(error.value)


def test_cnn_policy_says_what_images_are() -> None:
    for space in (Box(-1, 1, (3,)), image(9, 9)):
        with pytest.raises(ValueError, match=r"CnnPolicy is for images, a Box.*; use MlpPolicy or"):
            MemoryPPO("CnnPolicy", Noise(space, Discrete(2)))


def test_images_that_are_normalised_may_be_small(tmp_path: Any) -> None:
    normalised = {"policy_kwargs": {"normalize_images": False}}
    env = Noise(Box(-1, 1, (3, 7, 7)), Discrete(2))
    MemoryPPO("CnnPolicy", env, n_steps=4, batch_size=4, device="cpu", **normalised).learn(4)
    env = Noise(Dict(a=Box(-1, 1, (3, 7, 7)), b=Discrete(2)), Discrete(2))
    use(env, tmp_path / "agent", **normalised)
    extractor = agent_in(env, **normalised).policy.features_extractor
    assert [type(part).__name__ for part in extractor.parts] == ["SmallCNN", "Flatten"]  # type: ignore[union-attr]


def test_shifted_spaces_are_read_and_chosen_as_those_from_zero() -> None:
    """The same weights see the same thing in Discrete(3) and Discrete(3, start=5), and choose the same plus 5."""
    plain, shifted = (
        agent_in(Noise(Discrete(3, start=start), Discrete(4, start=2 * start))) for start in (0, 5)
    )
    for seen in range(3):
        one, _ = plain.predict(np.array(seen), deterministic=True)
        other, _ = shifted.predict(np.array(seen + 5), deterministic=True)
        assert one + 10 == other
