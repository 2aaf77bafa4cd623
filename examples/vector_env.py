"""Gymnasium's vector environments go in as they are, without a Python loop over environments."""

from __future__ import annotations

import sys

import gymnasium as gym

import expirespan.envs  # noqa: F401  (registers ExpireSpan/Corridor-v0)
from expirespan.agents import MemoryA2C


def main(total_timesteps: int = 200_000) -> None:
    """Train on many short corridors at once."""
    env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=32, max_length=10)
    memory = dict(width=64, layers=2, max_span=64, ramp=8)
    model = MemoryA2C("MlpPolicy", env, n_steps=16, policy_kwargs=dict(memory_kwargs=memory), seed=0)
    model.learn(total_timesteps)
    returns = [episode["r"] for episode in model.ep_info_buffer or []]
    print(f"{len(returns)} episodes ended lately, mean return {sum(returns) / max(1, len(returns)):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
