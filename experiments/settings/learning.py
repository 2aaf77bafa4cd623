"""Settings of learning: the algorithm, the price of memories, the lesson in forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from expirespan.experiments.settings.values import Count, CountOrNone
from expirespan.parameters import (
    BatchSize,
    ClipRange,
    Decay,
    Discount,
    EntropyCoef,
    Epochs,
    Epsilon,
    Growth,
    LearningRate,
    MaxGradNorm,
    Multiple,
    NSteps,
    PositivePrice,
    Price,
    Score,
    Share,
    Shortest,
    Slack,
    StepSize,
    TargetKL,
    Tolerance,
    ValueCoef,
    Wait,
    Width,
)


@dataclass(frozen=True)
class _OnPolicy:
    learning_rate: LearningRate = 3e-4
    """Step size of the optimiser."""
    lr_schedule: Literal["constant", "linear"] = "constant"
    """linear: the step size falls to 0 over total-timesteps."""
    predictor_lr: Multiple = 1.0
    """Learning rate of the span predictors as a multiple of the rest's."""
    net_arch: tuple[Width, ...] = ()
    """Hidden layers of the policy's and of the value's head; none: the memory's layers are network enough."""
    n_steps: NSteps = 128
    """Steps of every environment between updates."""
    gamma: Discount = 0.99
    """Discount."""
    gae_lambda: Discount = 0.95
    """Bias against variance of advantages (GAE)."""
    ent_coef: EntropyCoef = 0.01
    """Weight of the entropy bonus."""
    vf_coef: ValueCoef = 0.5
    """Weight of the value loss."""
    max_grad_norm: MaxGradNorm = 0.5
    """Gradients are clipped to this norm."""
    min_advantage_std: Epsilon = 1e-8
    """Least divisor of advantages, so that minibatches without reward do not amplify noise."""


@dataclass(frozen=True)
class PPOSettings(_OnPolicy):
    """MemoryPPO."""

    name: ClassVar[str] = "ppo"
    batch_size: BatchSize = 2048
    """Steps per minibatch; whole segments of n_steps."""
    n_epochs: Epochs = 3
    """Passes over each rollout."""
    clip_range: ClipRange = 0.2
    """Clipping of the probability ratio."""
    target_kl: TargetKL | None = None
    """An update ends when the policy has moved 1.5 times this far."""


@dataclass(frozen=True)
class A2CSettings(_OnPolicy):
    """MemoryA2C."""

    name: ClassVar[str] = "a2c"
    learning_rate: LearningRate = 7e-4
    """Step size of the optimiser."""
    gae_lambda: Discount = 1.0
    """Bias against variance of advantages (GAE)."""
    normalize_advantage: bool = False
    """Divide advantages by their standard deviation."""
    use_rms_prop: bool = True
    """Optimise with RMSprop; otherwise with Adam."""


Algorithm = PPOSettings | A2CSettings


@dataclass(frozen=True)
class ConstantPenaltySettings:
    """The same price from the first step (paper)."""

    name: ClassVar[str] = "constant"
    coef: Price = 0.0
    """Price of a step of span in the loss."""


@dataclass(frozen=True)
class WarmupPenaltySettings:
    """No price at first, then rising linearly."""

    name: ClassVar[str] = "warmup"
    coef: Price = 1e-5
    """Price at the end of the rise."""
    start: CountOrNone = 1_000_000
    """Environment steps before it begins."""
    steps: Count = 1_000_000
    """Environment steps it takes."""


@dataclass(frozen=True)
class AdaptivePenaltySettings:
    """Rises while the agent succeeds, falls while it does not."""

    name: ClassVar[str] = "adaptive"
    coef: PositivePrice = 0.05
    """Price when success first reaches the target."""
    target: Score = 0.95
    """Success rate (or mean return) that must hold for the price to rise."""
    growth: Growth = 1.1
    """Factor for each rollout at the target."""
    decay: Decay = 0.8
    """Factor for each rollout below it."""
    maximum: PositivePrice | None = None
    """Highest price; None for coef."""


@dataclass(frozen=True)
class PlateauPenaltySettings:
    """Adaptive, with a target of the run's own: what it had reached when it made no more progress."""

    name: ClassVar[str] = "plateau"
    coef: PositivePrice = 0.05
    """Price when progress has ended."""
    slack: Slack = 0.1
    """How far below the best score is good enough, as a fraction of the range of scores so far."""
    wait: Wait = 1 / 3
    """Fraction of all steps so far that must have passed without progress."""
    patience: CountOrNone = 50_000
    """Environment steps, at least, without progress."""
    growth: Growth = 1.1
    """Factor for each rollout at the target."""
    decay: Decay = 0.8
    """Factor for each rollout below it."""
    maximum: PositivePrice | None = None
    """Highest price; None for coef."""


Penalty = ConstantPenaltySettings | WarmupPenaltySettings | AdaptivePenaltySettings | PlateauPenaltySettings


@dataclass(frozen=True)
class NoLessonSettings:
    """Nothing but reward and penalty shapes the spans."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True)
class LessonSettings:
    """Some environments act with full memory; forgetting is taught on what they did."""

    name: ClassVar[str] = "lesson"
    fraction: Share = 0.5
    """Share of the environments that act with full memory."""
    shortest: Shortest = 0.7
    """Spans are taught as if multiplied by a number between this and 1, for a margin."""
    step_size: StepSize = 0.25
    """Of the spans' descent."""
    tolerance: Tolerance = 0.1
    """Divergence from full memory, in nats per episode, at which spans cost nothing."""
    settling: Decay = 0.98
    """Factor on the learning rate for each rollout in which success has held, so that spans can settle."""


Lesson = NoLessonSettings | LessonSettings
