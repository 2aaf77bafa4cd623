"""Recipes of borrowed tasks: MiniGrid's memory room, CartPole and Pendulum without velocities."""

from __future__ import annotations

from dataclasses import replace

from expirespan.experiments.recipes.corridor import UNPRICED
from expirespan.experiments.recipes.recipe import ZOO, recipe
from expirespan.experiments.settings import (
    Config,
    EvaluationSettings,
    ExpireSpanSettings,
    GymSettings,
    PPOSettings,
    TargetSettings,
)

_TASK_PPO = PPOSettings(
    1e-3, "linear", 0.1, net_arch=(64, 64), n_steps=128, batch_size=256, n_epochs=10,
    gamma=0.98, gae_lambda=0.9, ent_coef=0.0,
)  # fmt: skip
# For the small tasks of Gymnasium: few environments, and heads of their own as RecurrentPPO has.
_TASK = Config(
    total_timesteps=100_000,
    num_envs=8,
    env=GymSettings(),
    eval_env=GymSettings(),
    memory=ExpireSpanSettings(max_span=64, ramp=8, init_fraction=0.5, heads=2),
    algorithm=_TASK_PPO,
    reward_scale=0.05,  # returns of 50 would give the critic all of the gradient
    evaluation=EvaluationSettings(every=20_000, episodes=50),
)

RECIPES = (
    recipe(
        "memory-room",
        "MiniGrid-MemoryS13: see the object in the first room, then turn to its like at the hallway's end",
        "success 0.97",
        replace(
            UNPRICED,
            total_timesteps=1_500_000,
            standardize=200_000,
            env=GymSettings("ExpireSpan/MiniGridMemoryS13-v0"),
            eval_env=GymSettings("ExpireSpan/MiniGridMemoryS13-v0"),
            memory=ExpireSpanSettings(max_span=256, ramp=8, init_fraction=0.5, heads=2),
            # with less entropy it first learns to run to the end at once, having seen nothing
            algorithm=replace(UNPRICED.algorithm, learning_rate=1e-3, net_arch=(64,), ent_coef=0.08),
            target=TargetSettings(0.97, evaluations=1),
        ),
        source="MiniGrid, Memory",
    ),
    recipe(
        "cartpole",
        "CartPole that shows no velocities: they must be remembered",
        "return 500",
        _TASK,
        source=ZOO,
    ),
    recipe(
        "pendulum",
        "Pendulum that shows no velocity: continuous actions",
        "return -200",
        replace(
            _TASK,
            env=GymSettings("ExpireSpan/PendulumNoVel-v1"),
            eval_env=GymSettings("ExpireSpan/PendulumNoVel-v1"),
            algorithm=replace(_TASK_PPO, n_steps=200, batch_size=400, gamma=0.9, gae_lambda=0.95),
            reward_scale=0.1,
        ),
        source=ZOO,
    ),
)
"""Of this world."""
