"""A script for sb3-contrib's RecurrentPPO, with MemoryPPO in its place: CartPole that hides its velocities.

What changed: the import, the class, the policy's name (no "Lstm" in it) and the memory's settings instead of the
LSTM's. The loop at the end is the same to the letter.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env

from expirespan.agents import MemoryPPO  # was: from sb3_contrib import RecurrentPPO


class HideVelocities(gym.ObservationWrapper[np.ndarray, Any, np.ndarray]):
    """Shows cart position and pole angle only."""

    def __init__(self, env: gym.Env[np.ndarray, Any]) -> None:
        super().__init__(env)
        high = np.array([4.8, 0.42], np.float32)
        self.observation_space = spaces.Box(-high, high)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Leave out what moves."""
        return observation[[0, 2]]


def main(total_timesteps: int = 100_000) -> None:
    """Train, then act with the state that `predict` hands back."""
    vec_env = make_vec_env("CartPole-v1", n_envs=8, seed=0, wrapper_class=HideVelocities)
    memory = dict(width=64, layers=2, max_span=64, ramp=8)  # was: dict(lstm_hidden_size=64)
    model = MemoryPPO(
        "MlpPolicy", vec_env, n_steps=128, batch_size=256, policy_kwargs=dict(memory_kwargs=memory)
    )
    model.learn(total_timesteps)

    obs, state = vec_env.reset(), None
    episode_starts = np.ones(vec_env.num_envs, dtype=bool)
    for _ in range(200):
        action, state = model.predict(obs, state=state, episode_start=episode_starts, deterministic=True)
        obs, _, episode_starts, _ = vec_env.step(action)
    print(f"{episode_starts.sum()} of {vec_env.num_envs} episodes ended at step 200")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
