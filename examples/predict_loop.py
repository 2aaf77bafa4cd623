"""Acting with a trained agent in one environment: `state` is what it remembers, and belongs to the caller."""

from __future__ import annotations

import sys

import gymnasium as gym

import expirespan.envs  # noqa: F401  (registers ExpireSpan/Corridor-v0)
from expirespan.agents import MemoryPPO


def main(total_timesteps: int = 100_000) -> None:
    """Train shortly, then play one episode and watch what is kept."""
    vector = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=16, max_length=10)
    memory = dict(width=64, layers=2, max_span=64, ramp=8)
    model = MemoryPPO(
        "MlpPolicy", vector, n_steps=64, batch_size=512, policy_kwargs=dict(memory_kwargs=memory)
    )
    model.learn(total_timesteps)

    env = gym.make("ExpireSpan/Corridor-v0", max_length=10)
    obs, _ = env.reset(seed=0)
    state, over, total = None, False, 0.0  # None: nothing is remembered yet
    while not over:
        action, state = model.predict(obs, state, episode_start=[state is None], deterministic=True)
        obs, reward, terminated, truncated, _ = env.step(int(action))
        over, total = terminated or truncated, total + float(reward)
    layers = [int((layer.birth_BS >= 0).sum()) for layer in state.layers]
    print(f"return {total:.0f}; memories kept per layer at the end: {layers}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
