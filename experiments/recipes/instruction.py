"""The recipes of find-the-instruction: the words first, then the long texts."""

from __future__ import annotations

from dataclasses import replace

from expirespan.experiments.recipes.corridor import UNPRICED
from expirespan.experiments.recipes.recipe import LIGHT, recipe
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    ExpireSpanSettings,
    InstructionSettings,
    LessonSettings,
    PPOSettings,
    TargetSettings,
)

_INSTRUCTION_PPO = PPOSettings(  # the choice at the turn, one step of many, must not become certain too soon
    1e-3, gae_lambda=0.5, ent_coef=0.15, min_advantage_std=0.1, batch_size=512
)
_INSTRUCTION = replace(
    UNPRICED,  # spans that suit a few lines would not reach across many
    total_timesteps=3_000_000,
    env=InstructionSettings(4, 4, early_penalty=0.2),
    eval_env=InstructionSettings(4, 4),
    memory=ExpireSpanSettings(max_span=512, ramp=8, init_fraction=0.5, heads=4),
    algorithm=_INSTRUCTION_PPO,
    target=TargetSettings(success=0.93, evaluations=1),
)

RECIPES = (
    recipe(
        "instruction-short",
        "do what one of a dozen lines told to do: the words, before the long texts of `instruction`",
        "success 0.93",
        _INSTRUCTION,
        source=LIGHT,
    ),
    recipe(
        "instruction",
        "up to 60 lines, all but the instruction forgotten: `--trained-agent RUN` of `instruction-short`",
        "success 0.97",
        replace(
            _INSTRUCTION,
            total_timesteps=1_500_000,
            env=InstructionSettings(4, 60, "log_uniform", early_penalty=0.2),
            eval_env=InstructionSettings(10, 60),
            algorithm=replace(
                _INSTRUCTION_PPO,
                learning_rate=3e-4,
                lr_schedule="linear",
                ent_coef=0.03,
                batch_size=1024,
            ),
            penalty=AdaptivePenaltySettings(coef=0.02, target=0.8),
            forgetting=LessonSettings(),
            target=TargetSettings(success=0.97, alive=14, evaluations=2),
        ),
        source=LIGHT,
    ),
)
"""Of this world."""
