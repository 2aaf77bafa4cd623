"""The recipes of the portal rooms."""

from __future__ import annotations

from dataclasses import replace

from expirespan.experiments.recipes.corridor import CORRIDOR, CORRIDOR_PPO
from expirespan.experiments.recipes.recipe import recipe
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    EvaluationSettings,
    ExpireSpanSettings,
    PortalSettings,
    TargetSettings,
)

_PAPER = "Sukhbaatar et al. 2021, arXiv 2105.06548, multi-room portal, with"
_TEN = PortalSettings(rooms=10, room_size=3, max_steps=300, pays="first", frame_stack=2)
_FIFTY = replace(_TEN, rooms=50, max_steps=1000, room_code="binary", show_direction=True)
_FIFTY_SHORT = replace(_FIFTY, max_steps=300)
_FIFTY_LONG = replace(_FIFTY, max_steps=2000)  # in 1,000 steps only the last laps reach the thirtieth room
_MEMORY = ExpireSpanSettings(max_span=1024, ramp=8, init_fraction=0.5, heads=2)
_PORTAL = replace(
    CORRIDOR,
    total_timesteps=4_000_000,
    standardize=200_000,
    least_deviation=0.5,  # the numbers of rooms that random actions never reach would outweigh the doors
    env=_TEN,
    eval_env=_TEN,
    memory=_MEMORY,
    algorithm=replace(CORRIDOR_PPO, learning_rate=1e-3, net_arch=(64,), batch_size=1024),
    penalty=AdaptivePenaltySettings(target=0.8),
    target=TargetSettings(mean_return=4.3, alive=80, evaluations=2),
    evaluation=EvaluationSettings(every=250_000),
)
# The value's error grows with the returns. With vf_coef=0.5 it outweighs the policy, and good agents get worse.
_SHORT_PPO = replace(_PORTAL.algorithm, vf_coef=0.05)
# The price waits until 0.8 of the episodes end in the last room. They do not, so none is charged.
_SHORT = replace(
    _PORTAL,
    algorithm=_SHORT_PPO,
    env=_FIFTY_SHORT,
    eval_env=_FIFTY_SHORT,
    memory=replace(_MEMORY, max_span=512),
    target=TargetSettings(mean_return=9.0, evaluations=2),
)

RECIPES = (
    recipe(
        "portal",
        "ten rooms of two doors: find the one that leads on in each, and remember it",
        "return 4.3 of 4.5",
        _PORTAL,
        source=f"{_PAPER} 10 rooms of 3x3",
    ),
    recipe(
        "portal-50-short",
        "fifty rooms, 300 steps: what a door did, and whose number a room has, before the long way of `portal-50`",
        "return 9",
        _SHORT,
        source=f"{_PAPER} rooms of 3x3",
    ),
    recipe(
        "portal-50",
        "fifty rooms, 2,000 steps, judged by 1,000: `--trained-agent RUN` of `portal-50-short`",
        "return 55 of 60.2; three seeds have 54.5 to 56.4",
        replace(
            _SHORT,
            total_timesteps=10_000_000,
            env=_FIFTY_LONG,
            eval_env=_FIFTY,
            algorithm=replace(_SHORT_PPO, learning_rate=5e-4, ent_coef=0.005),  # random steps are mistakes
            # Held to the end: mistakes become rare as the step size falls to 0.
            target=TargetSettings(mean_return=55.0, evaluations=2, hold=10_000_000),
            evaluation=EvaluationSettings(every=1_000_000),
        ),
        source=f"{_PAPER} rooms of 3x3",
    ),
)
"""Of this world."""
