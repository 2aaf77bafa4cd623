"""An environment of one's own: a cue at the first step is asked for at the last, so chance is 0.5 without memory."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from expirespan.agents import MemoryPPO


class Recall(gym.Env[np.ndarray, int]):
    """Observes (cue, asked): the cue -1 or 1 at the first step, else 0; ``asked`` is 1 at the last step.

    Answering then with the cue (action 0 for -1, 1 for 1) pays 1.
    """

    def __init__(self, delay: int = 8) -> None:
        self.delay = delay
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw the cue and show it."""
        super().reset(seed=seed)
        self.cue, self.time = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1, 0], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Wait, or answer at the last step."""
        over = self.time == self.delay
        reward = float(over and action == self.cue)
        self.time += 1
        return np.array([0, self.time == self.delay], np.float32), reward, over, False, {}


def main(total_timesteps: int = 60_000) -> None:
    """Train and evaluate."""
    vec_env = make_vec_env(Recall, n_envs=16, seed=0)
    memory = dict(width=32, layers=1, max_span=32, ramp=4)
    model = MemoryPPO(
        "MlpPolicy",
        vec_env,
        learning_rate=1e-3,
        n_steps=36,
        batch_size=144,
        n_epochs=4,
        ent_coef=0.01,
        seed=0,
        policy_kwargs=dict(memory="expire_span", memory_kwargs=memory),
    )
    model.learn(total_timesteps)
    mean, _ = evaluate_policy(model, vec_env, n_eval_episodes=100, deterministic=True)
    print(f"right answers: {mean:.2f}, chance 0.50")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
