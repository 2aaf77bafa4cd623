"""Everything that decides a training run, as typed settings.

The text under a setting is its help on the command line. Some settings are *parts*, of which there are
several kinds (of memory, environment, algorithm, penalty): each a dataclass, known by its ``name``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

import tyro


def _whole(text: list[str]) -> int:
    number = float(text[0])
    if number != int(number):
        raise ValueError(f"{text[0]!r} is not a whole number")
    return int(number)


Count = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=_whole,
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""An int that may be written 1e6."""


@dataclass(frozen=True)
class CorridorEnv:
    """A ball at the start, two doors at the end: enter the one of the ball's colour."""

    name: ClassVar[str] = "ExpireSpan/Corridor-v0"
    min_length: int = 3
    """Shortest corridor, in cells."""
    max_length: int = 200
    """Longest corridor, in cells."""
    length_distribution: Literal["uniform", "log_uniform", "mixed"] = "uniform"
    """How lengths are drawn; log_uniform favours short corridors, mixed is half of each."""
    max_steps: int | None = None
    """Steps after which an episode is cut off; None for 4 * length + 16."""


Env = CorridorEnv


@dataclass(frozen=True)
class _Transformer:
    width: int = 64
    """Size of states."""
    layers: int = 2
    """Transformer layers, each with a memory of its own."""
    heads: int = 4
    """Attention heads; must divide the width."""
    gate: Literal["residual", "gru"] = "residual"
    """How a layer joins the stream; gru is GTrXL's."""
    output_scale: float = 1.0
    """Size at which the outputs begin."""
    positions: int = 16
    """Recent steps with a learned relative position."""


@dataclass(frozen=True)
class ExpireSpanMemory(_Transformer):
    """Every memory predicts how long it is kept."""

    name: ClassVar[str] = "expire_span"
    max_span: float = 256
    """Longest span, in steps."""
    ramp: float = 16
    """Steps over which an expired memory fades."""
    init_fraction: float = 0.9
    """Spans start at this fraction of the longest."""
    stabilizer: float = 1.0
    """Divides the predictor's output; for very large max-span."""
    penalty: Literal["all", "ramp"] = "all"
    """What is priced: all spans (paper), or those on their ramp (the authors' code)."""
    random_span: bool = False
    """Shorten spans at random while training."""


@dataclass(frozen=True)
class FixedWindowMemory(_Transformer):
    """Transformer-XL: the last states, whatever they hold."""

    name: ClassVar[str] = "fixed_window"
    window: float = 256
    """States that can be read, the present one included; inf for all."""


@dataclass(frozen=True)
class AdaptiveSpanMemory(_Transformer):
    """Every attention head learns how far back it reads."""

    name: ClassVar[str] = "adaptive_span"
    max_span: float = 256
    """Longest reach, in steps."""
    ramp: float = 16
    """Steps over which a memory past the reach fades."""
    init_fraction: float = 0.9
    """Reaches start at this fraction of the longest."""


@dataclass(frozen=True)
class CompressiveMemory(_Transformer):
    """What leaves the window is compressed and read for longer."""

    name: ClassVar[str] = "compressive"
    window: int = 64
    """Last states that can be read, the present one included."""
    slots: int = 48
    """Summaries that can be read besides."""
    factor: int = 4
    """States that a summary stands for."""
    compression: Literal["conv", "mean", "max"] = "conv"
    """How states become a summary: by a learned convolution, their mean or their maximum."""


@dataclass(frozen=True)
class LSTMMemory:
    """The recurrent baseline."""

    name: ClassVar[str] = "lstm"
    width: int = 64
    """Size of states."""
    layers: int = 1
    """LSTM layers."""
    chrono: float | None = None
    """Steps over which units keep at first, spread up to this; None for PyTorch's start."""


@dataclass(frozen=True)
class GRUMemory:
    """The other recurrent baseline."""

    name: ClassVar[str] = "gru"
    width: int = 64
    """Size of states."""
    layers: int = 1
    """GRU layers."""
    chrono: float | None = None
    """Steps over which units keep at first, spread up to this; None for PyTorch's start."""


Memory = (
    ExpireSpanMemory | FixedWindowMemory | AdaptiveSpanMemory | CompressiveMemory | LSTMMemory | GRUMemory
)


@dataclass(frozen=True)
class _OnPolicy:
    learning_rate: float = 3e-4
    """Step size of the optimiser."""
    lr_schedule: Literal["constant", "linear"] = "constant"
    """linear: the step size falls to 0 over total-timesteps."""
    predictor_lr: float = 1.0
    """Learning rate of the span predictors as a multiple of the rest's."""
    n_steps: int = 128
    """Steps of every environment between updates."""
    gamma: float = 0.99
    """Discount."""
    gae_lambda: float = 0.95
    """Bias against variance of advantages (GAE)."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""
    min_advantage_std: float = 1e-8
    """Least divisor of advantages, lest minibatches without reward blow up noise."""


@dataclass(frozen=True)
class PPOAlgorithm(_OnPolicy):
    """MemoryPPO."""

    name: ClassVar[str] = "ppo"
    batch_size: int = 2048
    """Steps per minibatch; whole segments of n_steps."""
    n_epochs: int = 3
    """Passes over each rollout."""
    clip_range: float = 0.2
    """Clipping of the probability ratio."""
    target_kl: float | None = None
    """An update ends when the policy has moved 1.5 times this far."""


@dataclass(frozen=True)
class A2CAlgorithm(_OnPolicy):
    """MemoryA2C."""

    name: ClassVar[str] = "a2c"
    learning_rate: float = 7e-4
    """Step size of the optimiser."""
    gae_lambda: float = 1.0
    """Bias against variance of advantages (GAE)."""
    normalize_advantage: bool = False
    """Divide advantages by their standard deviation."""
    use_rms_prop: bool = True
    """Optimise with RMSprop; otherwise with Adam."""


Algorithm = PPOAlgorithm | A2CAlgorithm


@dataclass(frozen=True)
class ConstantPenaltyPart:
    """The same price from the first step (paper)."""

    name: ClassVar[str] = "constant"
    coef: float = 0.0
    """Price of a step of span in the loss."""


@dataclass(frozen=True)
class WarmupPenaltyPart:
    """No price at first, then rising linearly."""

    name: ClassVar[str] = "warmup"
    coef: float = 1e-5
    """Price at the end of the rise."""
    start: Count = 1_000_000
    """Environment steps before it begins."""
    steps: Count = 1_000_000
    """Environment steps it takes."""


@dataclass(frozen=True)
class AdaptivePenaltyPart:
    """Rises while the agent succeeds, falls while it does not."""

    name: ClassVar[str] = "adaptive"
    coef: float = 0.02
    """Price when success first reaches the target."""
    target: float = 0.95
    """Success rate (or mean return) that must hold for the price to rise."""
    growth: float = 1.1
    """Factor for each rollout at the target."""
    decay: float = 0.8
    """Factor for each rollout below it."""
    maximum: float | None = None
    """Highest price; None for coef."""


Penalty = ConstantPenaltyPart | WarmupPenaltyPart | AdaptivePenaltyPart


@dataclass(frozen=True)
class NoLesson:
    """Nothing but reward and penalty shapes the spans."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True)
class ForgettingLesson:
    """Some environments act with full memory; forgetting is taught on what they did."""

    name: ClassVar[str] = "lesson"
    fraction: float = 0.5
    """Share of the environments that act with full memory."""
    softness: tuple[float, float] = (1.0, 8.0)
    """Spans are taught through logistic masks of widths between these, in steps."""
    shortest: float = 0.8
    """Spans are taught as if multiplied by a number between this and 1, for a margin."""
    step_size: float = 0.25
    """Of the spans' descent."""
    tolerance: float = 0.003
    """Divergence from full memory, in nats per step, at which spans cost nothing."""


Lesson = NoLesson | ForgettingLesson


@dataclass(frozen=True)
class Evaluation:
    """Episodes apart from training, with fixed seeds and the most likely actions."""

    every: Count = 200_000
    """Environment steps between evaluations."""
    episodes: int = 200
    """Episodes per evaluation."""
    num_envs: int = 50
    """Environments they are spread over."""
    seed: int = 1_000_000
    """Environment i is seeded seed + i, anew at each evaluation."""


@dataclass(frozen=True)
class Target:
    """Training ends when evaluations in a row reach it."""

    success: float | None = None
    """Success rate; None to train for all steps."""
    alive: float | None = None
    """Most memories per layer, at the end of the longest episodes; None for any number."""
    evaluations: int = 2
    """How many evaluations in a row."""


@dataclass(frozen=True)
class Config:
    """One training run."""

    recipe: str = "custom"
    """Name of the folder under runs."""
    seed: int = 0
    """Seed of environments, torch, numpy and python."""
    total_timesteps: Count = 1_000_000
    """Environment steps of training."""
    num_envs: int = 64
    """Environments side by side."""
    env: Env = field(default_factory=CorridorEnv)
    """Training environment."""
    eval_env: Env = field(default_factory=CorridorEnv)
    """Evaluation environment; follows overrides of env that are not given for itself."""
    memory: Memory = field(default_factory=ExpireSpanMemory)
    """What the agent remembers with."""
    algorithm: Algorithm = field(default_factory=PPOAlgorithm)
    """How it learns."""
    penalty: Penalty = field(default_factory=ConstantPenaltyPart)
    """Price of remembering, per step of span."""
    forgetting: Lesson = field(default_factory=NoLesson)
    """A lesson in forgetting."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    """Evaluation during training."""
    target: Target = field(default_factory=Target)
    """When to end before all steps are used."""
    checkpoints: int = 3
    """Newest checkpoints to keep, besides the best."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads of PyTorch on the CPU; another number may change the last digits of results."""
    runs: str = "runs"
    """Folder for run folders."""
    wandb: Literal["auto", "offline", "off"] = "auto"
    """W&B: auto is online where you are logged in and offline elsewhere."""
    tensorboard: bool = True
    """Write TensorBoard files."""
    progress: bool = True
    """Show a progress bar."""


Part = Env | Memory | Algorithm | Penalty | Lesson
Kinds = dict[str, dict[str, Any]]
"""The kinds of each part of some settings, by name."""


def _by_name(*kinds: Any) -> dict[str, Any]:
    return {kind.name: kind for kind in kinds}


KINDS: Kinds = {
    "env": _by_name(CorridorEnv),
    "eval_env": _by_name(CorridorEnv),
    "memory": _by_name(
        ExpireSpanMemory, FixedWindowMemory, AdaptiveSpanMemory, CompressiveMemory, LSTMMemory, GRUMemory
    ),
    "algorithm": _by_name(PPOAlgorithm, A2CAlgorithm),
    "penalty": _by_name(ConstantPenaltyPart, WarmupPenaltyPart, AdaptivePenaltyPart),
    "forgetting": _by_name(NoLesson, ForgettingLesson),
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
