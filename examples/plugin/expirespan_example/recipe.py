"""A recipe: settings with where they come from and what to expect of them."""

from __future__ import annotations

from expirespan.experiments import Config, Recipe
from expirespan.experiments.settings import (
    EvaluationSettings,
    ExpireSpanSettings,
    GymSettings,
    PPOSettings,
    TargetSettings,
)

RECALL = Recipe(
    summary="say after some steps which of two cues was seen first",
    source="the example of docs/extending.md",
    expected="success 1.0",
    config=Config(
        total_timesteps=100_000,
        num_envs=16,
        env=GymSettings("Example/Recall-v0"),
        eval_env=GymSettings("Example/Recall-v0"),
        memory=ExpireSpanSettings(width=32, layers=1, heads=2, max_span=32, ramp=4),
        algorithm=PPOSettings(1e-3, n_steps=36, batch_size=144, n_epochs=4, ent_coef=0.01),
        evaluation=EvaluationSettings(every=10_000, episodes=50, num_envs=10),
        target=TargetSettings(success=1.0, evaluations=1),
    ),
)
