"""Rewards in SB3's `IdentityEnvMultiDiscrete` at equal steps and settings: `python identity.py OUTPUT.json`.

The settings are those of SB3's `tests/test_identity.py` (5 rollouts of 256 steps, 4 epochs, step size 0.002, gamma
0.4) and the same with gamma 0.99. Ten seeds each, one thread. An episode has 100 steps, and each right answer pays 1;
scores are of 10 episodes with the most likely actions. Cells that OUTPUT.json has are not made again.
"""

from __future__ import annotations

import itertools
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common import envs
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from expirespan.agents import MemoryPPO

SEEDS, STEPS = range(10), 1280
SETTINGS: dict[str, Any] = {"n_steps": 256, "n_epochs": 4, "learning_rate": 0.002}
AGENTS: dict[str, Any] = {"PPO": PPO, "MemoryPPO": MemoryPPO}
ENVS = {"IdentityEnvMultiDiscrete": envs.IdentityEnvMultiDiscrete}
GAMMAS = (0.99, 0.4)


def score(agent: str, env: str, gamma: float, seed: int) -> float:
    """Mean return of an agent after training; at most 100."""
    made = [DummyVecEnv([lambda: ENVS[env](4)]) for _ in range(2)]
    for number, vec_env in enumerate(made):
        vec_env.action_space.seed(seed + 1000 * number)  # states are drawn from this space
    model = AGENTS[agent]("MlpPolicy", made[0], gamma=gamma, seed=seed, device="cpu", **SETTINGS)
    model.learn(STEPS)
    return float(evaluate_policy(model, made[1], 10, warn=False)[0])  # type: ignore[arg-type]


def main(output: Path) -> None:
    """Make the cells that are missing, and write each at once."""
    versions = {name: version(name) for name in ("expirespan", "stable-baselines3", "torch", "numpy")}
    empty = {"steps": STEPS, **SETTINGS, "versions": versions, "cells": []}
    found = json.loads(output.read_text()) if output.exists() else empty
    done = {(cell["env"], cell["gamma"], cell["agent"]) for cell in found["cells"]}
    for env, gamma, agent in itertools.product(ENVS, GAMMAS, AGENTS):
        if (env, gamma, agent) in done:
            continue
        scores = [score(agent, env, gamma, seed) for seed in SEEDS]
        mean = round(sum(scores) / len(scores), 1)
        found["cells"].append({"env": env, "gamma": gamma, "agent": agent, "mean": mean, "scores": scores})
        output.write_text(json.dumps(found, indent=1) + "\n")
        print(env, gamma, agent, mean, scores, flush=True)


if __name__ == "__main__":
    th.set_num_threads(1)
    main(Path(sys.argv[1]))
