"""Construction of environments from settings."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from functools import partial
from operator import mul
from typing import Any

import gymnasium as gym
import numpy.typing as npt
from gymnasium.envs.registration import VectorizeMode, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics, TransformReward

from expirespan.agents import SB3VecEnv
from expirespan.envs import VectorFrameStackObservation
from expirespan.experiments.making.checked import checked
from expirespan.experiments.settings import Config, Env
from expirespan.experiments.settings.errors import UserError


def make_envs(env: Env, num_envs: int, **more: Any) -> VectorEnv[Any, Any, Any]:
    """Environments side by side, which restart within the step that ends an episode; ``more``: for `make_vec`."""
    with checked(f"environment {env.gym_id}"):
        try:
            name = registered(env.gym_id)
            own = metadata_of(gym.spec(name).vector_entry_point)
            drawn = more.get("render_mode") in (None, *own.get("render_modes", []))
            if drawn and own.get("autoreset_mode") is AutoresetMode.SAME_STEP:
                made = gym.make_vec(name, num_envs=num_envs, **env.parameters, **more)
            else:
                same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
                made = gym.make_vec(
                    name,
                    num_envs,
                    VectorizeMode.SYNC,
                    vector_kwargs=same_step,
                    **env.parameters,
                    **more,
                )
            return made if env.frame_stack == 1 else VectorFrameStackObservation(made, env.frame_stack)
        except gym.error.Error as error:
            raise UserError(f"environment {env.gym_id}: {error}") from None


def registered(gym_id: str) -> str:
    """An id as Gymnasium has it. Of ``module:id`` the module, which registers it, is imported: one that is installed,
    or in the working directory.

    Raises:
        UserError: the module cannot be imported.
    """
    module, colon, name = gym_id.rpartition(":")
    if colon:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # a console script does not look there
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the user's module raises
            raise UserError(
                f"environment {gym_id}: importing {module!r} failed ({type(error).__name__}: {error}); expected "
                "MODULE:ID, with a module in the working directory or installed that registers the id with Gymnasium"
            ) from error
    return name


def creator(entry_point: Any) -> Any:
    """What an entry point of Gymnasium's registry, text or not, calls to make an environment; None for none."""
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def metadata_of(entry_point: Any) -> dict[str, Any]:
    """The metadata of the class that an entry point names; nothing if it names a function, or nothing."""
    found: dict[str, Any] = getattr(creator(entry_point), "metadata", {})
    return found


def make_training_env(config: Config) -> SB3VecEnv:
    """The training environments, with returns and lengths of episodes, for an agent."""
    envs: VectorEnv[Any, Any, Any] = RecordEpisodeStatistics(make_envs(config.env, config.num_envs))
    if config.reward_scale != 1.0:
        envs = TransformReward(envs, partial(mul, config.reward_scale))
    return SB3VecEnv(envs, info_keys=("action_mask",))


def random_observations(config: Config) -> Iterator[npt.NDArray[Any]]:
    """Observations of ``config.standardize`` steps of random actions in separate environments, step by step."""
    envs = make_envs(config.env, config.num_envs)
    yield envs.reset(seed=config.seed)[0]
    envs.action_space.seed(config.seed)
    for _ in range(config.standardize // config.num_envs):
        yield envs.step(envs.action_space.sample())[0]
    envs.close()
