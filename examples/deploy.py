"""Acting with a policy's file: neither agent nor training, `state` is the memory and belongs to the caller."""

from __future__ import annotations

import sys
from importlib.resources import files

import gymnasium as gym
import numpy as np
import torch

import expirespan.envs  # noqa: F401  (registers ExpireSpan/Corridor-v0)
from expirespan.agents import DeployedPolicy

FILE = files("expirespan.agents.pretrained") / "corridor.zip"  # `expirespan export RUN` writes such a file


def main(episodes: int = 16) -> None:
    """Play corridors of 200 cells, 16 at a time."""
    torch.set_num_threads(1)  # more would only wait for each other
    policy = DeployedPolicy.load(str(FILE))
    envs = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=16, min_length=200, max_length=200)
    (obs, _), state, start, solved = envs.reset(seed=0), None, np.ones(16, bool), []
    while len(solved) < episodes:
        action, state = policy.predict(obs, state, start, deterministic=True)
        obs, reward, terminated, truncated, _ = envs.step(action)
        start = terminated | truncated
        solved += (reward[start] > 0).tolist()
    print(f"solved {sum(solved)} of {len(solved)} corridors")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
