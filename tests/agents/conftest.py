"""Small environments for the tests of agents, as Gymnasium ids.

``Toy/Noise-v0``: episodes of random length, noise as observation and reward, in any space.
``Toy/Recall-v0``: a cue at the first step is asked for at the last.
``Toy/Clock-v0``: observes the time; ends after a given number of steps, by itself or by a time limit.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from expirespan.agents import MemoryPPO

_SMALL = {"width": 16, "heads": 2, "output_scale": 1.0}  # a memory that matters from the first step on
_SPANS = {"max_span": 6, "ramp": 3, "positions": 4, "init_fraction": 0.5}
SMALL: dict[str, dict[str, Any]] = {
    "expire_span": _SMALL | _SPANS,
    "fixed_window": _SMALL | {"window": 4},
    "adaptive_span": _SMALL | _SPANS,
    "compressive": _SMALL | {"window": 4, "slots": 2, "factor": 3, "positions": 4},
    "lstm": {"width": 16},
    "gru": {"width": 16, "layers": 2},
}
"""Arguments of every memory with which rollouts of a dozen steps see all that can happen."""

OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (3,), np.float32),
    "image": spaces.Box(0, 255, (36, 36, 1), np.uint8),
    "dict": spaces.Dict(
        {
            "vector": spaces.Box(-1, 1, (2,), np.float64),
            "image": spaces.Box(0, 255, (36, 36, 1), np.uint8),
            "room": spaces.Discrete(3),
        }
    ),
    "discrete": spaces.Discrete(4),
    "multidiscrete": spaces.MultiDiscrete([2, 3]),
    "multibinary": spaces.MultiBinary(3),
    "text": spaces.Text(5),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2))),
    "sequence": spaces.Sequence(spaces.Discrete(2)),
}
ACTIONS: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-2, 1, (2,), np.float32),
    "discrete": spaces.Discrete(3),
    "multidiscrete": spaces.MultiDiscrete([2, 3]),
    "multibinary": spaces.MultiBinary(2),
}


class Noise(gym.Env[Any, Any]):
    """``lengths``: shortest and longest episode; half of them end by truncation."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (SB3 asks for it when it makes environments)

    def __init__(
        self,
        observation: str = "box",
        action: str = "discrete",
        lengths: tuple[int, int] = (1, 9),
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = OBSERVATIONS[observation]
        self.action_space = ACTIONS[action]
        self.lengths = lengths

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(self.lengths[0], self.lengths[1] + 1))
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(np.asarray(action, self.action_space.dtype)) or np.isscalar(action)
        self.left -= 1
        over, kind = self.left == 0, self.np_random.random() < 0.5
        return self._observe(), float(self.np_random.normal()), over and kind, over and not kind, {}

    def _observe(self) -> Any:
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample()


class Recall(gym.Env[np.ndarray, int]):
    """Observes (cue, asked): the cue, -1 or 1, at the first step only; ``asked`` is 1 at the last.

    Doing then what the cue said (0 or 1) pays 1. Chance is 0.5.
    """

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, delay: int = 5) -> None:
        self.delay = delay

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.cue, self.time = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1, 0], np.float32), {}

    def step(self, action: int) -> Any:
        over = self.time == self.delay
        success = over and action == self.cue
        self.time += 1
        asked = np.array([0, self.time == self.delay], np.float32)
        return asked, float(success), over, False, {"is_success": success} if over else {}


class Clock(gym.Env[np.ndarray, int]):
    """Reward 1 at each step; observes (step number / 10, its parity)."""

    observation_space = spaces.Box(-10, 10, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(
        self, length: int = 4, truncate: bool = True, broken: str = "", value: float = np.nan
    ) -> None:
        self.length, self.truncate, self.broken, self.value = length, truncate, broken, value

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._observe(), {}

    def step(self, action: int) -> Any:
        self.time += 1
        over = self.time == self.length
        observation, reward = self._observe(), 1.0
        if self.broken == "observation" and self.time == 2:
            observation[1] = self.value
        if self.broken == "last observation" and over:
            observation[1] = self.value
        if self.broken == "reward" and self.time == 2:
            reward = self.value
        return observation, reward, over and not self.truncate, over and self.truncate, {}

    def _observe(self) -> np.ndarray:
        return np.array([self.time / 10, self.time % 2], np.float32)


gym.register("Toy/Noise-v0", Noise)
gym.register("Toy/Recall-v0", Recall)
gym.register("Toy/Clock-v0", Clock)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_envs() -> Callable[..., DummyVecEnv]:
    """``make_envs("Noise", num_envs=3, seed=0, **kwargs)``: toy environments with a Monitor each."""

    def make(name: str, num_envs: int = 3, seed: int | None = 0, **kwargs: Any) -> DummyVecEnv:
        envs = DummyVecEnv([lambda: Monitor(gym.make(f"Toy/{name}-v0", **kwargs)) for _ in range(num_envs)])
        envs.seed(seed)
        return envs

    return make


@pytest.fixture
def make_agent(make_envs: Callable[..., DummyVecEnv]) -> Callable[..., Any]:
    """``make_agent(MemoryPPO, memory="lstm")``: a small agent on the CPU, by default in noise."""

    def make(agent_class: Any = MemoryPPO, policy: str = "MlpPolicy", env: Any = None, **kwargs: Any) -> Any:
        memory = kwargs.pop("memory", "expire_span")
        memory_kwargs = {**SMALL[memory], **kwargs.pop("memory_kwargs", {})}
        given = {"memory": memory, "memory_kwargs": memory_kwargs, **kwargs.pop("policy_kwargs", {})}
        default = {"n_steps": 12, "seed": 0, "device": "cpu"}
        default |= {"batch_size": 12, "n_epochs": 1} if issubclass(agent_class, MemoryPPO) else {}
        env = make_envs("Noise") if env is None else env
        return agent_class(policy, env, policy_kwargs=given, **{**default, **kwargs})

    return make


@pytest.fixture
def collect() -> Callable[[Any], Any]:
    """``collect(agent)``: fill the agent's buffer with one rollout and return the buffer."""

    def one_rollout(agent: Any) -> Any:
        _, callback = agent._setup_learn(10**6, None, False)
        agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
        return agent.rollout_buffer

    return one_rollout
