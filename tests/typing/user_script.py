"""A user's script: .ci/run checks its types by mypy --strict and by pyright, against an installed package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

import expirespan.envs  # registers the environments
from expirespan.agents import (
    AdaptivePenalty,
    DeployedPolicy,
    Forgetting,
    MemoryA2C,
    MemoryEvalCallback,
    MemoryPPO,
    evaluate_policy,
)
from expirespan.envs import ENVIRONMENTS, ORACLES, Corridor, CorridorVector
from expirespan.experiments import RECIPES, EpisodeTrace, from_yaml, to_yaml
from expirespan.memory import ExpireSpan, Memory, Rule, TransformerMemory, make_memory


class LastCues(Rule):
    """A rule of one's own."""

    def __init__(self, longest: float) -> None:
        super().__init__()
        self.max_span = longest

    def spans(self, h_BSD: Tensor) -> Tensor:
        """As long as the first component is large."""
        return self.max_span * h_BSD[..., 0].sigmoid()


def train(folder: Path) -> float:
    """Train, save, load, evaluate, act."""
    env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=4, max_length=8)
    model = MemoryPPO(
        "MlpPolicy",
        env,
        n_steps=16,
        batch_size=32,
        policy_kwargs=dict(memory="expire_span", memory_kwargs=dict(width=16, max_span=32)),
        span_penalty=AdaptivePenalty(0.05, target=0.95),
        forgetting=Forgetting(fraction=0.5),
    )
    vec_env = model.get_env()
    assert vec_env is not None
    callback = MemoryEvalCallback(vec_env, eval_freq=100)
    model.learn(64, callback=callback).save(folder / "agent.zip")
    loaded = MemoryPPO.load(folder / "agent.zip", env=env, resume=True)
    mean, deviation = evaluate_policy(loaded, vec_env, n_eval_episodes=4)
    observation, _ = env.reset(seed=0)
    action, state = loaded.predict(observation, state=None, episode_start=np.ones(4, dtype=bool))
    action, state = loaded.predict(observation, state=state, episode_start=np.zeros(4, dtype=bool))
    DeployedPolicy.of(loaded).save(folder / "policy.zip")
    assert isinstance(mean, float) and isinstance(deviation, float)
    return mean + float(action.mean())


def read(memory: Memory[Any]) -> Tensor:
    """One step of a memory by itself."""
    state = memory.initial_state(2)
    out = memory.step(torch.zeros(2, memory.width), state, torch.ones(2, dtype=torch.bool))
    first = out.state[[0]]
    return out.y.sum() + float(first.batch_size)


def main(folder: Path) -> None:
    """All of it."""
    print(train(folder), MemoryA2C("MlpPolicy", "CartPole-v1").n_steps)
    print(read(make_memory("gru", width=8)), read(TransformerMemory(8, rule=ExpireSpan(max_span=16))))
    print(read(TransformerMemory(8, heads=2, rule=LastCues(8.0))))
    print(
        ENVIRONMENTS["ExpireSpan/Corridor-v0"].optimum,
        ORACLES["ExpireSpan/Corridor-v0"](2),
        Corridor(max_length=5),
        CorridorVector(4).num_envs,
    )
    config = from_yaml(to_yaml(RECIPES["corridor"].config))
    print(config.memory.name, config.total_timesteps + 1)
    for path in folder.glob("*.npz"):
        trace: EpisodeTrace = EpisodeTrace.load(path)
        print(trace.alive_at(0), trace.summary.upper(), expirespan.envs.__doc__)


if __name__ == "__main__":
    main(Path("."))
