"""The recipe `own` on environments of others, beside SB3's PPO and sb3-contrib's RecurrentPPO.

All three have the recipe's settings of PPO, as many environments, its scaled rewards, and the same features of images;
RecurrentPPO has an LSTM of the memory's width for actor and critic. No setting was chosen for an environment or for an
agent. They are evaluated with the most likely actions, once, after all steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecMonitor, VecTransposeImage
from tqdm import tqdm

from expirespan.agents import SB3VecEnv, SmallCNN, is_small_image
from expirespan.experiments.bench.options import OWN_ENVIRONMENTS
from expirespan.experiments.bench.options import OwnOptions as Options
from expirespan.experiments.bench.rivals import REFERENCE, recurrent_ppo
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.making.agents import make_agent, policy_name
from expirespan.experiments.making.envs import make_envs, make_training_env
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.settings import Config, GymSettings, PPOSettings
from expirespan.experiments.settings.errors import UserError, unknown

WIDTH = 64
"""Of the LSTM."""


@dataclass(frozen=True)
class Row:
    """One agent after training.

    ``alive``: memories alive per layer, mean over an episode; ``kept``: the sentence on that episode. Both are of our
    agents only, and the episode is one of the evaluation's environment with another seed.
    """

    environment: str
    agent: str
    seed: int
    mean_return: float
    std_return: float
    steps: int
    steps_per_second: float
    alive: list[float] | None = None
    kept: str = ""


def run(options: Options) -> list[Row]:
    """Train and evaluate every agent on every environment with every seed.

    Raises:
        UserError: no such environment or agent, a package is missing, or nothing to do.
    """
    recurrent_ppo()  # better missed now than after the first training
    for name in options.environments:
        if name not in OWN_ENVIRONMENTS:
            raise unknown("environment", name, OWN_ENVIRONMENTS)
        make_envs(_settings(name), 1).close()
    for name in options.agents:
        if name not in MAKERS:
            raise unknown("agent", name, MAKERS)
    jobs = list(product(options.environments, options.seeds, options.agents))
    if not jobs or options.episodes < 1:
        raise UserError("expected at least one of environments, seeds, agents and episodes")
    torch.set_num_threads(options.threads)
    return [_row(options, *job) for job in tqdm(jobs, desc="training", disable=not options.progress)]


def table(rows: list[Row]) -> str:
    """Mean over seeds, and each seed, for people."""
    lines = [f"{'environment':<14}{'agent':<14}{'return':>10}  {'each seed':<32}{'alive':>12}{'steps/s':>9}"]
    for environment, agent in dict.fromkeys((row.environment, row.agent) for row in rows):
        mine = [row for row in rows if (row.environment, row.agent) == (environment, agent)]
        returns = [row.mean_return for row in mine]
        alive = [row.alive for row in mine if row.alive]
        told = " / ".join(f"{number:.1f}" for number in np.mean(alive, 0)) if alive else "-"
        speed = np.mean([row.steps_per_second for row in mine])
        each = ", ".join(f"{number:.2f}" for number in returns)
        lines.append(
            f"{environment:<14}{agent:<14}{np.mean(returns):>10.2f}  {each:<32}{told:>12}{speed:>9,.0f}"
        )
    return "\n".join(lines)


def _row(options: Options, environment: str, seed: int, agent: str) -> Row:
    steps = options.total_timesteps or OWN_ENVIRONMENTS[environment].steps
    env = _settings(environment)
    config = replace(
        RECIPES["own"].config,
        env=env,
        eval_env=env,
        seed=seed,
        device="cpu",
        threads=options.threads,
        total_timesteps=steps,
    )
    training = make_training_env(config)
    model = MAKERS[agent](config, training)
    began = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - began
    fresh = VecMonitor(
        SB3VecEnv(make_envs(env, min(config.evaluation.num_envs, options.episodes)), info_keys=())
    )
    fresh.seed(config.evaluation.seed)
    returns, _ = evaluate_policy(model, fresh, options.episodes, return_episode_rewards=True)
    alive, kept = None, ""
    if agent == OURS:
        trace = record_episode(model, env, config.evaluation.seed - 1, "own")
        alive, kept = trace.alive.mean(1).round(2).tolist(), kept_sentence(trace)
    fresh.close()  # of all at the end: closing some environments closes what others share
    training.close()
    mean, deviation = float(np.mean(returns)), float(np.std(returns))
    done = model.num_timesteps
    return Row(environment, agent, seed, mean, deviation, done, done / seconds, alive, kept)


def _settings(environment: str) -> GymSettings:
    chosen = OWN_ENVIRONMENTS[environment]
    return GymSettings(chosen.gym_id, wrappers=chosen.wrappers)


def _sb3(config: Config, env: SB3VecEnv, kind: Any, policy: str, **more: Any) -> Any:
    """An agent of SB3's with the settings of the recipe."""
    own = config.algorithm
    assert isinstance(own, PPOSettings)
    names = ("n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "ent_coef", "vf_coef")
    given = {name: getattr(own, name) for name in names}
    policy_kwargs: dict[str, Any] = {"net_arch": list(own.net_arch), **more}
    space: Any = env.observation_space
    if policy.startswith("Cnn") and is_small_image(VecTransposeImage.transpose_space(space)):
        policy_kwargs["features_extractor_class"] = SmallCNN
    rate = LinearSchedule(own.learning_rate, 0.0, 1.0)
    return kind(
        policy, env, learning_rate=rate, seed=config.seed, device="cpu", policy_kwargs=policy_kwargs, **given
    )


def _ppo(config: Config, env: SB3VecEnv) -> Any:
    return _sb3(config, env, PPO, policy_name(config.env, env.observation_space))


def _recurrent(config: Config, env: SB3VecEnv) -> Any:
    policy = policy_name(config.env, env.observation_space).replace("Policy", "LstmPolicy")
    lstm = {"lstm_hidden_size": WIDTH, "enable_critic_lstm": True}
    return _sb3(config, env, recurrent_ppo(), policy, **lstm)


OURS = "MemoryPPO"
MAKERS: dict[str, Callable[[Config, SB3VecEnv], Any]] = {OURS: make_agent, "PPO": _ppo, REFERENCE: _recurrent}
"""Agents by the names in the table."""
