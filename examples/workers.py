"""One agent trained by several processes: ``torchrun --standalone --nproc-per-node 2 examples/workers.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym

import expirespan.envs  # noqa: F401  (registers ExpireSpan/Corridor-v0)
from expirespan.agents import MemoryPPO, Workers

CHECKPOINT = Path("workers.zip")


def main(total_timesteps: int = 100_000) -> None:
    """Train, and go on where a run that was killed had stopped."""
    workers = Workers.start()  # before environments are made; in a single process there is one worker
    env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=workers.share(16), max_length=10)
    memory = dict(width=32, layers=2, max_span=64, ramp=8)
    if CHECKPOINT.exists():
        model = MemoryPPO.load(CHECKPOINT, env=env, resume=True)
    else:
        policy = dict(memory_kwargs=memory)
        model = MemoryPPO("MlpPolicy", env, n_steps=64, batch_size=256, policy_kwargs=policy, seed=0)
    while model.num_timesteps < total_timesteps:
        model.learn(min(10_000, total_timesteps - model.num_timesteps), reset_num_timesteps=False)
        model.save_together(CHECKPOINT)  # every worker calls it, the first one writes
    if workers.lead:
        print(f"workers: {workers.size}, steps of all: {model.num_timesteps:,}")
    workers.leave()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
