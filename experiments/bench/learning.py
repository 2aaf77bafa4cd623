"""Scores of recipes within their steps, beside sb3-contrib's RecurrentPPO on the same environments, seeds and machine.

RecurrentPPO has the settings that rl-baselines3-zoo publishes as ``ppo_lstm`` for the task, or, where there are none,
the recipe's, with observations normalised if the recipe standardises them. Both are evaluated with the most likely
actions, once, after all steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize
from torch import nn
from tqdm import tqdm

from expirespan.agents import SB3VecEnv
from expirespan.experiments.bench.options import LearningOptions as Options
from expirespan.experiments.bench.rivals import REFERENCE, recurrent_ppo
from expirespan.experiments.making.agents import make_agent
from expirespan.experiments.making.envs import make_envs, make_training_env
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.settings import Config, PPOSettings
from expirespan.experiments.settings.errors import UserError, unknown

_LSTM = {"lstm_hidden_size": 64, "enable_critic_lstm": True, "net_arch": {"pi": [64], "vf": [64]}}
ZOO: dict[str, dict[str, Any]] = {
    "cartpole": {
        "num_envs": 8,
        "n_steps": 32,
        "batch_size": 256,
        "gae_lambda": 0.8,
        "gamma": 0.98,
        "n_epochs": 20,
        "learning_rate": LinearSchedule(1e-3, 0.0, 1.0),
        "clip_range": LinearSchedule(0.2, 0.0, 1.0),
        "policy_kwargs": {**_LSTM, "ortho_init": False},
    },
    "pendulum": {
        "num_envs": 4,
        "n_steps": 1024,
        "batch_size": 64,
        "gamma": 0.9,
        "learning_rate": 1e-3,
        "use_sde": True,
        "sde_sample_freq": 4,
        "policy_kwargs": {**_LSTM, "ortho_init": False, "activation_fn": nn.ReLU},
    },
}
"""Published settings by recipe, with observations and rewards normalised."""


@dataclass(frozen=True)
class Row:
    """One agent after training; ``success`` is None where the environment does not report it."""

    recipe: str
    agent: str
    seed: int
    mean_return: float
    std_return: float
    success: float | None
    steps: int
    steps_per_second: float


def run(options: Options) -> list[Row]:
    """Train and evaluate both agents for every recipe and seed.

    Raises:
        UserError: no such recipe, sb3-contrib is not installed, or nothing to do.
    """
    recurrent_ppo()  # better missed now than after the first training
    for name in options.recipes:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES)
        if not isinstance(RECIPES[name].config.algorithm, PPOSettings):
            raise UserError(f"recipe {name} is not of PPO, and RecurrentPPO is")
    if not options.recipes or not options.seeds or options.episodes < 1:
        raise UserError("expected at least one of recipes, seeds and episodes")
    torch.set_num_threads(options.threads)
    jobs = [(r, a, s) for r in options.recipes for s in options.seeds for a in MAKERS]
    bar = tqdm(jobs, desc="training", disable=not options.progress)
    return [_row(options, *job) for job in bar]


def table(rows: list[Row]) -> str:
    """Mean over seeds, and the range, for people."""
    lines = [
        f"{'recipe':<18}{'agent':<14}{'return (lowest to highest seed)':>36}{'success':>9}{'steps/s':>9}{'ratio':>7}"
    ]
    for recipe in dict.fromkeys(row.recipe for row in rows):
        for agent in MAKERS:
            mine = [row for row in rows if (row.recipe, row.agent) == (recipe, agent)]
            speed = np.mean([row.steps_per_second for row in mine])
            slow = [row.steps_per_second for row in rows if (row.recipe, row.agent) == (recipe, REFERENCE)]
            returns = [row.mean_return for row in mine]
            told = [row.success for row in mine if row.success is not None]
            spread = f"{np.mean(returns):.2f} ({min(returns):.2f} to {max(returns):.2f})"
            success = f"{np.mean(told):.3f}" if told else "-"
            lines.append(
                f"{recipe:<18}{agent:<14}{spread:>36}{success:>9}{speed:>9,.0f}{speed / np.mean(slow):>7.2f}"
            )
    return "\n".join(lines)


def _row(options: Options, recipe: str, agent: str, seed: int) -> Row:
    config = replace(RECIPES[recipe].config, seed=seed, device="cpu", threads=options.threads)
    if options.total_timesteps is not None:
        config = replace(config, total_timesteps=options.total_timesteps)
    model, env = MAKERS[agent](config, recipe)
    began = time.perf_counter()
    model.learn(config.total_timesteps)
    seconds = time.perf_counter() - began
    env.close()
    chosen = config.evaluation
    fresh: VecEnv = VecMonitor(
        SB3VecEnv(
            make_envs(config.eval_env, min(chosen.num_envs, options.episodes)), info_keys=("is_success",)
        )
    )
    fresh.seed(chosen.seed)
    if isinstance(env, VecNormalize):
        fresh = VecNormalize(fresh, training=False, norm_reward=False)
        fresh.obs_rms = env.obs_rms
    successes: list[bool] = []

    def collect(local: dict[str, Any], _: dict[str, Any]) -> None:
        if local["done"] and "is_success" in local["info"]:
            successes.append(bool(local["info"]["is_success"]))

    returns, _ = evaluate_policy(
        model, fresh, options.episodes, return_episode_rewards=True, callback=collect
    )
    fresh.close()
    return Row(
        recipe,
        agent,
        seed,
        float(np.mean(returns)),
        float(np.std(returns)),
        float(np.mean(successes)) if successes else None,
        model.num_timesteps,
        model.num_timesteps / seconds,
    )


def _memory_ppo(config: Config, recipe: str) -> tuple[Any, VecEnv]:
    env = make_training_env(config)
    return make_agent(config, env), env


def _recurrent_ppo(config: Config, recipe: str) -> tuple[Any, VecEnv]:
    algorithm = config.algorithm
    given = dict(ZOO.get(recipe, {}))
    num_envs = given.pop("num_envs", config.num_envs)
    env: VecEnv = SB3VecEnv(make_envs(config.env, num_envs), info_keys=())
    if recipe in ZOO:
        env = VecNormalize(env, gamma=given["gamma"])
    else:
        if config.standardize:
            env = VecNormalize(env, norm_reward=False)
        names = (
            "n_steps",
            "batch_size",
            "n_epochs",
            "gamma",
            "gae_lambda",
            "ent_coef",
            "learning_rate",
            "target_kl",
        )
        given = {name: getattr(algorithm, name) for name in names} | {"policy_kwargs": _LSTM}
        if algorithm.lr_schedule == "linear":
            given["learning_rate"] = LinearSchedule(algorithm.learning_rate, 0.0, 1.0)
    model = recurrent_ppo()("MlpLstmPolicy", env, seed=config.seed, device="cpu", **given)
    return model, env


MAKERS: dict[str, Callable[[Config, str], tuple[Any, VecEnv]]] = {
    "MemoryPPO": _memory_ppo,
    REFERENCE: _recurrent_ppo,
}
"""Agents by the names in the table, with the environment they learn in."""
