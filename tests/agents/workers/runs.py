"""A small run that any number of workers share."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from torch.nn.utils import parameters_to_vector

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO, Workers

ENVS, STEPS = 8, 16
LESSON: dict[str, Any] = {"span_penalty": 0.05, "forgetting": Forgetting()}


def in_double_precision() -> None:
    """For the rest of this process, also what Stable-Baselines3 turns into 32 bits."""
    th.set_default_dtype(th.float64)
    th.Tensor.float = th.Tensor.double  # type: ignore[method-assign,assignment]


def make_env(workers: Workers) -> Any:
    return gym.make_vec("ExpireSpan/Corridor-v0", num_envs=workers.share(ENVS), max_length=8)


def make_agent(workers: Workers, kind: Any = MemoryPPO, memory: str = "expire_span", **kwargs: Any) -> Any:
    size = {
        "width": 16,
        "layers": 2,
        "heads": 2,
        "max_span": 32,
        "ramp": 4,
        "init_fraction": 0.5,
        "random_span": True,
    }
    given = {"memory": memory, "memory_kwargs": size if memory == "expire_span" else {"width": 16}}
    default = {"n_steps": STEPS, "seed": 1, "device": "cpu", "learning_rate": 1e-3}
    default |= {"batch_size": 2 * STEPS, "n_epochs": 2} if kind is MemoryPPO else {}
    return kind("MlpPolicy", make_env(workers), policy_kwargs=given, **default | kwargs)


class SameEverywhere(BaseCallback):
    """Fails unless all workers have the same weights, bit for bit, after every update; counts the updates."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0

    def _on_rollout_start(self) -> None:
        weights = parameters_to_vector(self.model.policy.parameters()).detach()
        found = Workers.current().gather(hashlib.sha256(weights.numpy().tobytes()).hexdigest())
        assert len(set(found)) == 1
        self.updates += 1

    def _on_step(self) -> bool:
        return True


def outcome(agent: Any) -> tuple[th.Tensor, dict[str, float]]:
    """Weights, and numbers of the last update."""
    logs = agent.logger.name_to_value if hasattr(agent, "_logger") else {}
    logs = {name: value for name, value in logs.items() if name.startswith(("train", "expire", "rollout"))}
    numbers = {k: v.counts.tolist() if k.endswith("spans") else float(v) for k, v in logs.items()}
    return parameters_to_vector(agent.policy.parameters()).detach().clone(), numbers


def learn(workers: Workers, updates: int, double: bool, kind: str, kwargs: dict[str, Any]) -> Any:
    if double:
        in_double_precision()
    agent = make_agent(workers, MemoryA2C if kind == "a2c" else MemoryPPO, **kwargs)
    callback, begun = SameEverywhere(), outcome(agent)[0]
    agent.learn(ENVS * STEPS * updates, callback)
    assert callback.updates == updates
    return (*outcome(agent), dict(workers.sent), begun)


def save_half(workers: Workers, path: Path, updates: int) -> Any:
    in_double_precision()
    agent = make_agent(workers, **LESSON)
    agent.learn(ENVS * STEPS * updates)
    agent.save_together(path)


def go_on(workers: Workers, path: Path, updates: int) -> Any:
    in_double_precision()
    agent = MemoryPPO.load(path, env=make_env(workers), device="cpu", resume=True)
    agent.learn(ENVS * STEPS * updates - agent.num_timesteps, SameEverywhere(), reset_num_timesteps=False)
    return outcome(agent)
