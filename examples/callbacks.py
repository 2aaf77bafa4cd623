"""Callbacks, wrappers, schedules and loggers of Stable-Baselines3, as with PPO."""

from __future__ import annotations

import sys

from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize

from expirespan.agents import MemoryPPO


class MemoriesAlive(BaseCallback):
    """Log how many memories the fullest environment holds in the first layer, after every rollout."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        rollout = self.locals["out"]  # the last step of the policy
        self.logger.record("rollout/alive_max", rollout.trace.alive[0].max().item())


def main(total_timesteps: int = 30_000) -> None:
    """Train with evaluation, checkpoints, early stopping and logs in ``logs/``."""
    vec_env = VecNormalize(make_vec_env("CartPole-v1", n_envs=8, seed=0))
    eval_env = VecNormalize(make_vec_env("CartPole-v1", n_envs=4, seed=1), training=False, norm_reward=False)
    model = MemoryPPO(
        "MlpPolicy",
        vec_env,
        learning_rate=LinearSchedule(1e-3, 1e-4, 1.0),
        n_steps=64,
        batch_size=256,
        clip_range=LinearSchedule(0.2, 0.1, 1.0),
        target_kl=0.03,
        tensorboard_log="logs/tensorboard",
        seed=0,
    )
    stop = StopTrainingOnRewardThreshold(reward_threshold=475)
    evaluation = EvalCallback(
        eval_env, callback_on_new_best=stop, eval_freq=256, best_model_save_path="logs", verbose=0
    )
    checkpoints = CheckpointCallback(
        save_freq=256, save_path="logs", name_prefix="cartpole", save_vecnormalize=True
    )
    model.learn(total_timesteps, callback=CallbackList([evaluation, checkpoints, MemoriesAlive()]))
    print(f"best mean return {evaluation.best_mean_reward:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
