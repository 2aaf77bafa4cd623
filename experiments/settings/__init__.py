"""Everything that decides a training run, as typed settings.

The text under a setting is its help on the command line. Some settings are *parts*, of which there are
several kinds (of memory, environment, algorithm, penalty): each a dataclass, known by its ``name``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from expirespan.experiments.settings.learning import (
    A2CSettings,
    AdaptivePenaltySettings,
    Algorithm,
    ConstantPenaltySettings,
    Lesson,
    LessonSettings,
    NoLessonSettings,
    Penalty,
    PlateauPenaltySettings,
    PPOSettings,
    WarmupPenaltySettings,
)
from expirespan.experiments.settings.memories import (
    AdaptiveSpanSettings,
    CompressiveSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    GRUSettings,
    LSTMSettings,
    Memory,
)
from expirespan.experiments.settings.tracking import WandbSettings
from expirespan.experiments.settings.values import Count, CountOrNone
from expirespan.experiments.settings.worlds import (
    CorridorSettings,
    Env,
    GymSettings,
    InstructionSettings,
    PortalSettings,
    TMazeSettings,
)
from expirespan.parameters import (
    Alive,
    LeastDeviation,
    Number,
    NumEnvs,
    Rate,
    RewardScale,
    Score,
    Seed,
    Threads,
)

__all__ = [
    "KINDS",
    "A2CSettings",
    "AdaptivePenaltySettings",
    "AdaptiveSpanSettings",
    "Algorithm",
    "CompressiveSettings",
    "Config",
    "ConstantPenaltySettings",
    "CorridorSettings",
    "Count",
    "CountOrNone",
    "Env",
    "EvaluationSettings",
    "ExpireSpanSettings",
    "FixedWindowSettings",
    "GRUSettings",
    "GymSettings",
    "InstructionSettings",
    "Kinds",
    "LSTMSettings",
    "Lesson",
    "LessonSettings",
    "Memory",
    "NoLessonSettings",
    "PPOSettings",
    "Part",
    "Penalty",
    "PlateauPenaltySettings",
    "PortalSettings",
    "TMazeSettings",
    "TargetSettings",
    "WandbSettings",
    "WarmupPenaltySettings",
    "choose",
    "settings",
]


@dataclass(frozen=True)
class EvaluationSettings:
    """Episodes apart from training, with fixed seeds and the most likely actions."""

    every: Count = 200_000
    """Environment steps between evaluations."""
    episodes: Number = 200
    """Episodes per evaluation."""
    num_envs: NumEnvs = 50
    """Environments they are spread over."""
    seed: Seed = 1_000_000
    """Environment i is seeded seed + i, anew at each evaluation."""
    step_limit: Count = 30_000
    """Steps after which an episode is cut off, and counted as one that did not end."""
    what_if: bool = True
    """Whether the recorded episode also says, at each step, what the agent would do without the memories it reads
    most."""


@dataclass(frozen=True)
class TargetSettings:
    """Training ends when evaluations in a row reach it."""

    success: Rate | None = None
    """Success rate; None for any."""
    mean_return: Score | None = None
    """Mean return; None for any. Without this and success, training takes all steps."""
    alive: Alive | None = None
    """Most memories per layer, at the end of the longest episodes; None for any number."""
    evaluations: Number = 2
    """How many evaluations in a row."""
    hold: CountOrNone = 0
    """Environment steps to train on after the target is reached, to see whether it is held."""


@dataclass(frozen=True)
class Config:
    """One training run."""

    recipe: str = "custom"
    """Folder of the run under runs. To choose a recipe, write its name after `train`."""
    seed: Seed = 0
    """Seed of environments, torch, numpy and python."""
    total_timesteps: Count = 1_000_000
    """Environment steps of training."""
    trained_agent: str | None = None
    """Run or checkpoint file whose policy's weights to begin with, such as one of an easier task; None for new ones."""
    standardize: CountOrNone = 0
    """Steps of random actions by which observations are standardised once, before training; 0 for raw ones."""
    least_deviation: LeastDeviation = 0.1
    """Lower bound of the deviation in standardize, as a share of the largest; a smaller one weighs rare inputs more."""
    reward_scale: RewardScale = 1.0
    """Rewards are multiplied by this in training; what is reported is not."""
    normalize_reward: bool = False
    """Divide rewards in training by the running deviation of discounted returns; what is reported is not."""
    num_envs: NumEnvs = 64
    """Environments side by side."""
    env: Env = field(default_factory=CorridorSettings)
    """Training environment."""
    eval_env: Env = field(default_factory=CorridorSettings)
    """Evaluation environment; follows overrides of env that are not given for itself."""
    memory: Memory = field(default_factory=ExpireSpanSettings)
    """What the agent remembers with."""
    algorithm: Algorithm = field(default_factory=PPOSettings)
    """How it learns."""
    penalty: Penalty = field(default_factory=ConstantPenaltySettings)
    """Price of remembering, per step of span."""
    forgetting: Lesson = field(default_factory=NoLessonSettings)
    """A lesson in forgetting."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """Evaluation during training."""
    target: TargetSettings = field(default_factory=TargetSettings)
    """When to end before all steps are used."""
    checkpoints: Number = 3
    """Newest checkpoints to keep, besides the best."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Threads = 1
    """Threads of PyTorch on the CPU; another number may change the last digits of results."""
    runs: str = "runs"
    """Folder for run folders."""
    wandb: Literal["auto", "offline", "off"] = "auto"
    """W&B: auto is online where you are logged in and offline elsewhere."""
    wandb_run: WandbSettings = field(default_factory=WandbSettings)
    """How W&B files the run."""
    tensorboard: bool = True
    """Write TensorBoard files."""
    loggers: tuple[str, ...] = ()
    """Writers of logs that installed plugins add, by name."""
    progress: bool = True
    """Show a progress bar."""


HOUSEKEEPING = (
    "seed", "total_timesteps", "checkpoints", "device", "threads", "runs", "wandb", "wandb_run", "tensorboard",
    "loggers", "progress",
)  # fmt: skip
"""Settings of a `Config` that say neither what is learned, nor how."""


Part = Env | Memory | Algorithm | Penalty | Lesson
Kinds = dict[str, dict[str, Any]]
"""The kinds of each part of some settings, by name."""


def _by_name(*kinds: Any) -> dict[str, Any]:
    return {kind.name: kind for kind in kinds}


_WORLDS = (CorridorSettings, TMazeSettings, PortalSettings, InstructionSettings, GymSettings)
KINDS: Kinds = {
    "env": _by_name(*_WORLDS),
    "eval_env": _by_name(*_WORLDS),
    "memory": _by_name(
        ExpireSpanSettings,
        FixedWindowSettings,
        AdaptiveSpanSettings,
        CompressiveSettings,
        LSTMSettings,
        GRUSettings,
    ),
    "algorithm": _by_name(PPOSettings, A2CSettings),
    "penalty": _by_name(
        ConstantPenaltySettings, WarmupPenaltySettings, AdaptivePenaltySettings, PlateauPenaltySettings
    ),
    "forgetting": _by_name(NoLessonSettings, LessonSettings),
}
"""The kinds of each part of a `Config`, by name."""


def settings(part: Any) -> dict[str, Any]:
    """The settings of a part, by name."""
    return {item.name: getattr(part, item.name) for item in fields(part)}


def choose(kind: Any, previous: Any) -> Any:
    """A part of another kind, with the settings of ``previous`` that it has too and that are no defaults."""
    default = settings(type(previous)())
    known = {item.name for item in fields(kind)}
    return kind(**{n: v for n, v in settings(previous).items() if n in known and v != default[n]})
