"""Construction of environments from settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import mul
from typing import Any

import gymnasium as gym
import numpy.typing as npt
from gymnasium.envs.registration import VectorizeMode
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import NormalizeReward, RecordEpisodeStatistics, TransformReward

from expirespan.agents import SB3VecEnv, Workers
from expirespan.agents.checkpoint.statistics import statistics_of
from expirespan.envs import VectorFrameStackObservation
from expirespan.experiments.making.checked import checked
from expirespan.experiments.making.faults import CheckedEnv
from expirespan.experiments.making.guarded import GuardedEnvs, Isolated
from expirespan.experiments.making.registered import check_arguments, metadata_of, spec_of
from expirespan.experiments.making.wrappers import read_wrappers
from expirespan.experiments.settings import Config, Env
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said

VectorEnvs = VectorEnv[Any, Any, Any]
_open: ContextVar[list[tuple[Any, VectorEnvs]] | None] = ContextVar("_open", default=None)


def make_envs(env: Env, num_envs: int, **more: Any) -> VectorEnvs:
    """Environments side by side, which restart within the step that ends an episode; ``more``: for `make_vec`.

    What they do wrong later is an `EnvironmentFault`.

    Raises:
        UserError: the id, a wrapper or an argument is not known, or does not fit.
    """
    with checked(f"environment {env.gym_id}", Exception, SystemExit):
        spec = spec_of(env)
        check_arguments(spec, env.parameters)
        single, around = read_wrappers(env.wrappers)
        own = metadata_of(spec.vector_entry_point)
        drawn = more.get("render_mode") in (None, *own.get("render_modes", []))
        given = {**env.parameters, **more}
        try:
            quick = drawn and not single and env.timeout is None
            if quick and own.get("autoreset_mode") is AutoresetMode.SAME_STEP:
                made = gym.make_vec(spec.id, num_envs=num_envs, **given)
            else:
                kind = VectorizeMode.SYNC if env.timeout is None else VectorizeMode.ASYNC
                apart: list[Any] = [] if env.timeout is None else [Isolated()]
                made = gym.make_vec(
                    spec.id,
                    num_envs,
                    kind,
                    vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
                    wrappers=[*single, partial(CheckedEnv, name=env.gym_id), *apart],
                    **given,
                )
        except gym.error.Error as error:
            raise UserError(f"environment {env.gym_id}: {said(error)}") from None
        made = GuardedEnvs(made, env.gym_id, env.timeout)
        for wrap in around:
            made = wrap(made)
        if kept := sorted({part["kind"] for part in statistics_of(made)}):
            raise UserError(
                f"environment {env.gym_id}: {', '.join(kept)} has running statistics, which evaluations would "
                "not share; leave it out, and use --standardize STEPS for observations, --reward-scale for rewards"
            )
        return made if env.frame_stack == 1 else VectorFrameStackObservation(made, env.frame_stack)


@contextmanager
def lent_envs(env: Env, num_envs: int, **more: Any) -> Iterator[VectorEnvs]:
    """Environments for a while: within `keeping_envs_open` those of an earlier loan, otherwise closed at the end.

    Whoever borrows them resets them with a seed.
    """
    shelf, key = _open.get(), (env, num_envs, more)
    found = next((envs for known, envs in shelf or [] if known == key), None)
    made = found or make_envs(env, num_envs, **more)
    if shelf is not None and found is None:
        shelf.append((key, made))
    try:
        yield made
    finally:
        if shelf is None:
            made.close()


@contextmanager
def keeping_envs_open() -> Iterator[None]:
    """Within it environments that are lent stay open, and are lent again; at its end they are closed.

    Some of others share what closing destroys: Memory Gym's quit pygame, also under those that still play.
    """
    shelf: list[tuple[Any, VectorEnvs]] = []
    token = _open.set(shelf)
    try:
        yield
    finally:
        _open.reset(token)
        for _, envs in shelf:
            envs.close()


def make_training_env(config: Config) -> SB3VecEnv:
    """The training environments, with returns and lengths of episodes, for an agent; of several workers their share."""
    own = Workers.current().share(config.num_envs)
    envs: VectorEnvs = RecordEpisodeStatistics(make_envs(config.env, own))
    if config.reward_scale != 1.0:
        envs = TransformReward(envs, partial(mul, config.reward_scale))
    if config.normalize_reward:
        envs = NormalizeReward(envs, gamma=config.algorithm.gamma)
    return SB3VecEnv(envs, info_keys=("action_mask",))


def random_observations(config: Config) -> Iterator[npt.NDArray[Any]]:
    """Observations of ``config.standardize`` steps of random actions in separate environments, step by step."""
    with lent_envs(config.env, config.num_envs) as envs:
        yield envs.reset(seed=config.seed)[0]
        envs.action_space.seed(config.seed)
        for _ in range(config.standardize // config.num_envs):
            yield envs.step(envs.action_space.sample())[0]
