"""SB3's `evaluate_policy` and `EvalCallback` for agents that remember, in environments that forbid actions."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy as sb3_evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, sync_envs_normalization
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
    model: Any, env: gym.Env[Any, Any] | VecEnv, *args: Any, use_masking: bool = True, **kwargs: Any
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """As SB3's `evaluate_policy`, with the masks of ``env`` where it has any and ``use_masking``.

    sb3-contrib's own function for masks does not hand the memory's state from step to step, so that agents would
    forget everything.
    """
    if not use_masking:
        return sb3_evaluate_policy(model, env, *args, **kwargs)
    watched = _Watched(env if isinstance(env, VecEnv) else DummyVecEnv([lambda: env]))
    return sb3_evaluate_policy(_Masked(model, watched), watched, *args, **kwargs)


class _Evaluated(_Masked):
    """Such a model as `EvalCallback` has it, whose normalised environments need not be brought into line again."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def get_vec_normalize_env(self) -> None:
        """None: they are in line."""


class MemoryEvalCallback(EvalCallback):
    """As SB3's `EvalCallback`, with the masks of the evaluation environment where it has any.

    Takes its arguments and ``use_masking``, as sb3-contrib's `MaskableEvalCallback` does, which cannot be used in its
    place: it does not hand the memory's state from step to step.
    """

    def __init__(self, *args: Any, use_masking: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.use_masking = use_masking

    def _on_step(self) -> bool:
        if not self.use_masking or self.eval_freq <= 0 or self.n_calls % self.eval_freq != 0:
            return super()._on_step()
        model, env = self.model, self.eval_env
        if model.get_vec_normalize_env() is not None:
            sync_envs_normalization(self.training_env, env)
        watched = _Watched(env)
        self.model, self.eval_env = _Evaluated(model, watched), watched  # type: ignore[assignment]
        try:
            return super()._on_step()
        finally:
            self.model, self.eval_env = model, env
