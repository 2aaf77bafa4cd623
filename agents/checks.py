"""Checks on what environments hand over."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs


def check_finite(obs: VecEnvObs, rewards: np.ndarray, num_timesteps: int) -> None:
    """Raise ValueError if an environment returned NaN or infinity."""
    parts = {"reward": rewards}
    if isinstance(obs, dict):
        parts |= {f"observation[{key!r}]": value for key, value in obs.items()}
    else:
        parts["observation"] = np.asarray(obs)
    for name, value in parts.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            env, *_ = np.argwhere(~np.isfinite(value))[0]
            raise ValueError(
                f"environment {env} returned a non-finite {name} ({value[env]}) after {num_timesteps} steps; "
                "every observation and reward must be finite. Check the environment, for instance with "
                "stable_baselines3.common.vec_env.VecCheckNan"
            )
