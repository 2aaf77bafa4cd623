"""A recipe for environments that nobody here has seen."""

from __future__ import annotations

from expirespan.experiments.recipes.recipe import recipe
from expirespan.experiments.settings import (
    Config,
    EvaluationSettings,
    ExpireSpanSettings,
    GymSettings,
    LessonSettings,
    PlateauPenaltySettings,
    PPOSettings,
    TargetSettings,
)

OWN = Config(
    total_timesteps=1_000_000,
    num_envs=16,  # most environments are steps of Python, one after the other
    env=GymSettings(id=""),
    eval_env=GymSettings(id=""),
    normalize_reward=True,  # returns of -200 or 500 weigh alike
    # two or three times the longest delay that you know of; spans begin at half of it
    memory=ExpireSpanSettings(max_span=256, ramp=8, init_fraction=0.5, heads=2),
    # segments of 128 steps: what is seen and needed within one is learned soonest
    algorithm=PPOSettings(
        5e-4, "linear", 0.2, net_arch=(64, 64), n_steps=128, batch_size=512, n_epochs=4, ent_coef=0.01
    ),
    penalty=PlateauPenaltySettings(),  # first learn, then forget: nobody has to know what a good score is
    forgetting=LessonSettings(),
    evaluation=EvaluationSettings(every=50_000, episodes=50),
    target=TargetSettings(),  # none: it takes all steps
)

RECIPES = (
    recipe(
        "own",
        "your own environment, --env.id my_module:MyEnv-v0: learns first, and forgets once it makes no more progress",
        "what its algorithm can reach, with what memory that takes",
        OWN,
        source="settings that suit most small tasks; see docs/own-environments.md",
    ),
)
"""Of this world."""
