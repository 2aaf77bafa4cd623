"""Recipes of the corridor, and the settings that all recipes with a lesson share."""

from __future__ import annotations

from dataclasses import replace

from expirespan.experiments.recipes.recipe import PAPER, recipe
from expirespan.experiments.settings import (
    A2CSettings,
    AdaptivePenaltySettings,
    AdaptiveSpanSettings,
    CompressiveSettings,
    Config,
    ConstantPenaltySettings,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    LessonSettings,
    LSTMSettings,
    NoLessonSettings,
    PPOSettings,
    TargetSettings,
    WarmupPenaltySettings,
)

CORRIDOR_PPO = PPOSettings(  # with half the entropy one seed of five became certain at the doors too soon
    5e-4, lr_schedule="linear", ent_coef=0.02, min_advantage_std=0.1, target_kl=0.02
)
CORRIDOR = Config(
    total_timesteps=4_000_000,
    env=CorridorSettings(3, 200, "log_uniform"),
    eval_env=CorridorSettings(3, 200),
    memory=ExpireSpanSettings(max_span=512, ramp=8, init_fraction=0.5, heads=2),
    algorithm=CORRIDOR_PPO,
    penalty=AdaptivePenaltySettings(target=0.95),
    forgetting=LessonSettings(),
    evaluation=EvaluationSettings(every=100_000),
    target=TargetSettings(success=0.99, alive=10, evaluations=2),
)
# Large steps, a wide margin: the ball is needed rarely, and then for as long as the longest corridor.
# A policy that soon stands still: where it moves at the end, spans are lost with it.
PRICED = replace(
    CORRIDOR,
    penalty=AdaptivePenaltySettings(coef=0.0125, target=0.95, growth=1.3),
    forgetting=LessonSettings(shortest=0.5, step_size=2.0, settling=0.95),
)
UNPRICED = replace(  # spans that reward alone moves should move slowly: they only drift
    CORRIDOR,
    algorithm=replace(CORRIDOR_PPO, predictor_lr=0.1),
    penalty=ConstantPenaltySettings(),
    forgetting=NoLessonSettings(),
    target=TargetSettings(0.98, evaluations=1),
)
BASELINE = replace(UNPRICED, total_timesteps=3_000_000, target=TargetSettings(0.99, evaluations=1))

RECIPES = (
    recipe(
        "corridor",
        "learn corridors of 3-200 cells, then to keep little but the ball",
        "success 0.99 with at most 10 memories alive per layer (8 is the least that ramp=8 allows)",
        PRICED,
        usual_steps=1_500_000,
    ),
    recipe(
        "corridor-quick",
        "the README's: `corridor`, ended as soon as corridors are solved with at most 20 memories, in some minutes",
        "success 0.99 with at most 20 memories alive per layer",
        replace(
            PRICED,
            evaluation=EvaluationSettings(every=50_000, episodes=100),
            target=TargetSettings(success=0.99, alive=20, evaluations=1),
        ),
        usual_steps=1_300_000,
    ),
    recipe(
        "corridor-window",
        "Transformer-XL on the same corridors; choose how much it reads with --memory.window",
        "success 0.5 on corridors longer than the window reaches",
        replace(BASELINE, memory=FixedWindowSettings(window=64, heads=2)),
    ),
    recipe(
        "corridor-adaptive",
        "Adaptive-Span on the same corridors: one reach per head, priced from 1 M steps on",
        "not yet measured",
        replace(
            BASELINE,
            memory=AdaptiveSpanSettings(max_span=256, ramp=8, heads=2),
            penalty=WarmupPenaltySettings(coef=1e-5),
        ),
        source=f"{PAPER}; memory of arXiv 1905.07799",
    ),
    recipe(
        "corridor-compressive",
        "Compressive Transformer on the same corridors: 64 states and 48 summaries of 4",
        "not yet measured",
        replace(BASELINE, memory=CompressiveSettings(window=64, slots=48, factor=4, heads=2)),
        source=f"{PAPER}; memory of arXiv 1911.05507",
    ),
    recipe(
        "corridor-lstm",
        "LSTM on the same corridors",
        "no recall within 1.5 M steps on 3-50 cells, measured once",
        replace(BASELINE, memory=LSTMSettings(chrono=200)),
    ),
    recipe(
        "corridor-a2c",
        "A2C instead of PPO, on corridors of 3-50 cells",
        "success 0.95",
        replace(
            UNPRICED,
            env=CorridorSettings(3, 50, "log_uniform"),
            eval_env=CorridorSettings(3, 50),
            memory=ExpireSpanSettings(max_span=128, ramp=8, init_fraction=0.5, heads=2),
            algorithm=A2CSettings(gamma=0.99, n_steps=32, gae_lambda=0.95),
        ),
    ),
)
"""Of this world."""
