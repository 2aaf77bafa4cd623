"""The recipe of the endless T-maze."""

from __future__ import annotations

from dataclasses import replace

from expirespan.experiments.recipes.corridor import CORRIDOR, CORRIDOR_PPO
from expirespan.experiments.recipes.recipe import recipe
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    ExpireSpanSettings,
    TargetSettings,
    TMazeSettings,
)

RECIPES = (
    recipe(
        "tmaze",
        "three T-mazes in a row, each cue replacing the last; then ten: `evaluate RUN --corridors 10`",
        "success 0.98 of 3 corridors and of 10",
        replace(
            CORRIDOR,
            total_timesteps=3_000_000,
            env=TMazeSettings(),
            eval_env=TMazeSettings(),
            memory=ExpireSpanSettings(max_span=64, ramp=4, init_fraction=0.5, heads=2, positions=8),
            algorithm=replace(CORRIDOR_PPO, ent_coef=0.01),
            penalty=AdaptivePenaltySettings(target=0.85),  # three right turns are rarer than one
            target=TargetSettings(success=0.99, alive=8, evaluations=2),
        ),
        source="arXiv 2601.15086, Endless T-Maze",
        usual_steps=900_000,
    ),
)
"""Of this world."""
