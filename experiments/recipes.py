"""Recipes: named settings with where they come from and what to expect of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from expirespan.experiments.config import (
    A2CAlgorithm,
    AdaptivePenaltyPart,
    AdaptiveSpanMemory,
    CompressiveMemory,
    Config,
    ConstantPenaltyPart,
    CorridorEnv,
    Evaluation,
    ExpireSpanMemory,
    FixedWindowMemory,
    ForgettingLesson,
    GymEnv,
    InstructionEnv,
    LSTMMemory,
    NoLesson,
    PortalEnv,
    PPOAlgorithm,
    Target,
    TMazeEnv,
    WarmupPenaltyPart,
)
from expirespan.experiments.errors import unknown

ZOO = "`ppo_lstm` of rl-baselines3-zoo, whose returns and budget are to be met"
LIGHT = "Sukhbaatar et al. 2021, arXiv 2105.06548, instructions in LIGHT; ours in a grammar of our own"
PAPER = "the corridor task of Sukhbaatar et al. 2021, arXiv 2105.06548"


@dataclass(frozen=True)
class Recipe:
    """``summary`` and ``expected`` score are for people; ``source`` is where task and settings come from."""

    summary: str
    source: str
    expected: str
    config: Config


def _recipe(
    name: str, summary: str, expected: str, config: Config, source: str = PAPER
) -> tuple[str, Recipe]:
    return name, Recipe(summary, source, expected, replace(config, recipe=name))


_CORRIDOR_PPO = PPOAlgorithm(  # with half the entropy one seed of five became certain at the doors too soon
    5e-4, lr_schedule="linear", ent_coef=0.02, min_advantage_std=0.1, target_kl=0.02
)
_CORRIDOR = Config(
    total_timesteps=4_000_000,
    env=CorridorEnv(3, 200, "log_uniform"),
    eval_env=CorridorEnv(3, 200),
    memory=ExpireSpanMemory(max_span=512, ramp=8, init_fraction=0.5, heads=2),
    algorithm=_CORRIDOR_PPO,
    penalty=AdaptivePenaltyPart(target=0.95),
    forgetting=ForgettingLesson(),
    evaluation=Evaluation(every=100_000),
    target=Target(success=0.99, alive=10, evaluations=2),
)
_UNPRICED = replace(  # spans that reward alone moves should move slowly: they only drift
    _CORRIDOR,
    algorithm=replace(_CORRIDOR_PPO, predictor_lr=0.1),
    penalty=ConstantPenaltyPart(),
    forgetting=NoLesson(),
    target=Target(0.98, evaluations=1),
)
_BASELINE = replace(_UNPRICED, total_timesteps=3_000_000, target=Target(0.99, evaluations=1))

_PORTAL = PortalEnv(rooms=10, room_size=3, max_steps=300, pays="first", frame_stack=2)

_INSTRUCTION_PPO = PPOAlgorithm(  # the choice at the turn, one step of many, must not become certain too soon
    1e-3, gae_lambda=0.5, ent_coef=0.15, min_advantage_std=0.1, batch_size=512
)
_INSTRUCTION = replace(
    _UNPRICED,  # spans that suit a few lines would not reach across many
    total_timesteps=3_000_000,
    env=InstructionEnv(4, 4, early_penalty=0.2),
    eval_env=InstructionEnv(4, 4),
    memory=ExpireSpanMemory(max_span=512, ramp=8, init_fraction=0.5, heads=4),
    algorithm=_INSTRUCTION_PPO,
    target=Target(success=0.93, evaluations=1),
)

_TASK_PPO = PPOAlgorithm(
    1e-3, "linear", 0.1, net_arch=(64, 64), n_steps=128, batch_size=256, n_epochs=10,
    gamma=0.98, gae_lambda=0.9, ent_coef=0.0,
)  # fmt: skip
# For the small tasks of Gymnasium: few environments, and heads of their own as RecurrentPPO has.
_TASK = Config(
    total_timesteps=100_000,
    num_envs=8,
    env=GymEnv(),
    eval_env=GymEnv(),
    memory=ExpireSpanMemory(max_span=64, ramp=8, init_fraction=0.5, heads=2),
    algorithm=_TASK_PPO,
    reward_scale=0.05,  # returns of 50 would give the critic all of the gradient
    evaluation=Evaluation(every=20_000, episodes=50),
)

RECIPES: dict[str, Recipe] = dict(
    (
        _recipe(
            "corridor",
            "learn corridors of 3-200 cells, then to keep little but the ball",
            "success 0.99 with at most 10 memories alive per layer (8 is the least that ramp=8 allows)",
            _CORRIDOR,
        ),
        _recipe(
            "corridor-quick",
            "the README's: ends as soon as corridors of 3-200 cells are solved, in about five minutes",
            "success 0.98",
            _UNPRICED,
        ),
        _recipe(
            "corridor-window",
            "Transformer-XL on the same corridors; choose how much it reads with --memory.window",
            "success 0.5 on corridors longer than the window reaches",
            replace(_BASELINE, memory=FixedWindowMemory(window=64, heads=2)),
        ),
        _recipe(
            "corridor-adaptive",
            "Adaptive-Span on the same corridors: one reach per head, priced from 1 M steps on",
            "not yet measured",
            replace(
                _BASELINE,
                memory=AdaptiveSpanMemory(max_span=256, ramp=8, heads=2),
                penalty=WarmupPenaltyPart(coef=1e-5),
            ),
            source=f"{PAPER}; memory of arXiv 1905.07799",
        ),
        _recipe(
            "corridor-compressive",
            "Compressive Transformer on the same corridors: 64 states and 48 summaries of 4",
            "not yet measured",
            replace(_BASELINE, memory=CompressiveMemory(window=64, slots=48, factor=4, heads=2)),
            source=f"{PAPER}; memory of arXiv 1911.05507",
        ),
        _recipe(
            "corridor-lstm",
            "LSTM on the same corridors",
            "no recall within 1.5 M steps on 3-50 cells, measured once",
            replace(_BASELINE, memory=LSTMMemory(chrono=200)),
        ),
        _recipe(
            "corridor-a2c",
            "A2C instead of PPO, on corridors of 3-50 cells",
            "success 0.95",
            replace(
                _UNPRICED,
                env=CorridorEnv(3, 50, "log_uniform"),
                eval_env=CorridorEnv(3, 50),
                memory=ExpireSpanMemory(max_span=128, ramp=8, init_fraction=0.5, heads=2),
                algorithm=A2CAlgorithm(gamma=0.99, n_steps=32, gae_lambda=0.95),
            ),
        ),
        _recipe(
            "tmaze",
            "three T-mazes in a row, each cue replacing the last; then ten: `evaluate RUN --corridors 10`",
            "success 0.98 of 3 corridors and of 10",
            replace(
                _CORRIDOR,
                total_timesteps=2_000_000,
                env=TMazeEnv(),
                eval_env=TMazeEnv(),
                memory=ExpireSpanMemory(max_span=64, ramp=4, init_fraction=0.5, heads=2, positions=8),
                algorithm=replace(_CORRIDOR_PPO, ent_coef=0.01),
                penalty=AdaptivePenaltyPart(target=0.85),  # three right turns are rarer than one
                target=Target(success=0.99, alive=8, evaluations=2),
            ),
            source="arXiv 2601.15086, Endless T-Maze",
        ),
        _recipe(
            "instruction-short",
            "do what one of a dozen lines told to do: the words, before the long texts of `instruction`",
            "success 0.93",
            _INSTRUCTION,
            source=LIGHT,
        ),
        _recipe(
            "instruction",
            "up to 60 lines, all but the instruction forgotten: `--trained-agent RUN` of `instruction-short`",
            "success 0.97",
            replace(
                _INSTRUCTION,
                total_timesteps=1_500_000,
                env=InstructionEnv(4, 60, "log_uniform", early_penalty=0.2),
                eval_env=InstructionEnv(10, 60),
                algorithm=replace(
                    _INSTRUCTION_PPO,
                    learning_rate=3e-4,
                    lr_schedule="linear",
                    ent_coef=0.03,
                    batch_size=1024,
                ),
                penalty=AdaptivePenaltyPart(target=0.8),
                target=Target(success=0.97, alive=14, evaluations=2),
            ),
            source=LIGHT,
        ),
        _recipe(
            "portal",
            "ten rooms of two doors: find the one that leads on in each, and remember it",
            "return 4.3 of 4.5",
            replace(
                _CORRIDOR,
                total_timesteps=4_000_000,
                standardize=200_000,
                least_deviation=0.5,  # the numbers of rooms that random actions never reach would outweigh the doors
                env=_PORTAL,
                eval_env=_PORTAL,
                memory=ExpireSpanMemory(max_span=1024, ramp=8, init_fraction=0.5, heads=2),
                algorithm=replace(_CORRIDOR_PPO, learning_rate=1e-3, net_arch=(64,), batch_size=1024),
                penalty=AdaptivePenaltyPart(target=0.8),
                target=Target(mean_return=4.3, alive=80, evaluations=2),
                evaluation=Evaluation(every=250_000),
            ),
            source="Sukhbaatar et al. 2021, arXiv 2105.06548, multi-room portal, with 10 rooms of 3x3",
        ),
        _recipe(
            "memory-room",
            "MiniGrid-MemoryS13: see the object in the first room, then turn to its like at the hallway's end",
            "success 0.97",
            replace(
                _UNPRICED,
                total_timesteps=1_500_000,
                standardize=200_000,
                env=GymEnv("ExpireSpan/MiniGridMemoryS13-v0"),
                eval_env=GymEnv("ExpireSpan/MiniGridMemoryS13-v0"),
                memory=ExpireSpanMemory(max_span=256, ramp=8, init_fraction=0.5, heads=2),
                # with less entropy it first learns to run to the end at once, having seen nothing
                algorithm=replace(_UNPRICED.algorithm, learning_rate=1e-3, net_arch=(64,), ent_coef=0.08),
                target=Target(0.97, evaluations=1),
            ),
            source="MiniGrid, Memory",
        ),
        _recipe(
            "cartpole",
            "CartPole that shows no velocities: they must be remembered",
            "return 500",
            _TASK,
            source=ZOO,
        ),
        _recipe(
            "pendulum",
            "Pendulum that shows no velocity: continuous actions",
            "return -200",
            replace(
                _TASK,
                env=GymEnv("ExpireSpan/PendulumNoVel-v1"),
                eval_env=GymEnv("ExpireSpan/PendulumNoVel-v1"),
                algorithm=replace(_TASK_PPO, n_steps=200, batch_size=400, gamma=0.9, gae_lambda=0.95),
                reward_scale=0.1,
            ),
            source=ZOO,
        ),
    )
)
"""Every recipe by name."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, "`expirespan train --help` describes them")
    return RECIPES[name]
