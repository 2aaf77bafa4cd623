"""One memory agent on corridors, measured a round at a time: by public names alone, so that other versions can run it.

As a program it serves rounds of the version that Python finds: it reads its settings and then one line per round from
standard input, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

LEAST_STEPS = 4000
"""Environment steps of a round, if a rollout is shorter."""


class Round(NamedTuple):
    """Environment steps per second of rollouts with their updates, and whether an episode ended within them."""

    steps_per_second: float
    ends: bool


def corridors(settings: dict[str, Any]) -> Any:
    """SB3's kind of vector environment."""
    import gymnasium as gym

    import expirespan.envs  # noqa: F401  (registers the environments)
    from expirespan.agents import SB3VecEnv

    low, high = settings["corridor"]
    made = gym.make_vec(
        "ExpireSpan/Corridor-v0", num_envs=settings["num_envs"], min_length=low, max_length=high
    )
    return SB3VecEnv(made, info_keys=())


def arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """What every agent is made with."""
    heads = [settings["width"]] * 2
    ppo = {"batch_size": settings["batch_size"], "n_epochs": settings["epochs"]}
    return {
        "policy": "MlpPolicy",
        "env": corridors(settings),
        "n_steps": settings["n_steps"],
        "policy_kwargs": {"net_arch": heads},
        "device": "cpu",
        "seed": 0,
        **(ppo if settings["algorithm"] == "ppo" else {}),
    }


def memory_agent(settings: dict[str, Any]) -> Any:
    """`MemoryPPO` or `MemoryA2C` with ``settings["memory"]``, its ``memory_kwargs`` and everything else alike."""
    from expirespan.agents import MemoryA2C, MemoryPPO

    given = arguments(settings)
    kwargs = {"width": settings["width"], **settings["memory_kwargs"]}
    given["policy_kwargs"] |= {"memory": settings["memory"], "memory_kwargs": kwargs}
    return (MemoryPPO if settings["algorithm"] == "ppo" else MemoryA2C)(**given)


def measure(agent: Any) -> Round:
    """Rollouts with their updates, of `LEAST_STEPS` at least."""
    before, began = agent.num_timesteps, time.perf_counter()
    agent.learn(max(agent.n_steps * agent.n_envs, LEAST_STEPS), reset_num_timesteps=False, log_interval=10**9)
    speed = (agent.num_timesteps - before) / (time.perf_counter() - began)
    starts = agent.rollout_buffer.episode_starts
    return Round(float(speed), bool(starts[1:].any()) or bool(agent._last_episode_starts.any()))


def serve() -> None:
    """Until standard input ends."""
    import torch

    settings = json.loads(sys.stdin.readline())
    torch.set_num_threads(settings["threads"])
    agent = memory_agent(settings)
    for _ in sys.stdin:
        print(json.dumps(measure(agent)), flush=True)


if __name__ == "__main__":
    serve()
