"""SB3's `evaluate_policy` for agents that remember, in environments that forbid actions."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.evaluation import evaluate_policy as sb3_evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from expirespan.agents.core.masks import Masks, present_infos, reset_infos, source


class _Watched(VecEnvWrapper):
    """Knows what is allowed at the present observation."""

    masks: Masks | None = None

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.read = source(venv)

    def reset(self) -> VecEnvObs:
        observations = self.venv.reset()
        self.masks = self.read(reset_infos(self.venv))
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.masks = self.read(present_infos(self.venv, dones, infos))
        return observations, rewards, dones, infos


class _Masked:
    """A model whose `predict` is told what is allowed."""

    def __init__(self, model: Any, env: _Watched) -> None:
        self.model, self.env = model, env

    def predict(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, Any]:
        masks = self.env.masks
        return self.model.predict(*args, **kwargs, **({} if masks is None else {"action_masks": masks}))  # type: ignore[no-any-return]


def evaluate_policy(
    model: Any, env: gym.Env[Any, Any] | VecEnv, *args: Any, **kwargs: Any
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """As SB3's `evaluate_policy`, with the masks of ``env`` where it has any.

    sb3-contrib's own function for masks does not hand the memory's state from step to step, so that agents would
    forget everything.
    """
    watched = _Watched(env if isinstance(env, VecEnv) else DummyVecEnv([lambda: env]))
    return sb3_evaluate_policy(_Masked(model, watched), watched, *args, **kwargs)
