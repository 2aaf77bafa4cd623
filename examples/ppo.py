"""A script for PPO, with MemoryPPO in its place: only the import and the class name differ."""

from __future__ import annotations

import sys

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from expirespan.agents import MemoryPPO  # was: from stable_baselines3 import PPO


def main(total_timesteps: int = 50_000) -> None:
    """Train on CartPole, save, load, evaluate."""
    vec_env = make_vec_env("CartPole-v1", n_envs=8, seed=0)
    model = MemoryPPO("MlpPolicy", vec_env, n_steps=32, batch_size=256, n_epochs=10, gamma=0.98, seed=0)
    model.learn(total_timesteps)
    model.save("cartpole")

    model = MemoryPPO.load("cartpole", env=vec_env)
    mean, deviation = evaluate_policy(model, vec_env, n_eval_episodes=10)
    print(f"return {mean:.0f} +- {deviation:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
