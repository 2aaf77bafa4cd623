"""Everything that decides a run on a sequence task, as typed settings; the text under each is its help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import KINDS as ALL_KINDS
from expirespan.experiments.settings import (
    Count,
    CountOrNone,
    ExpireSpanSettings,
    Kinds,
    Memory,
    WandbSettings,
)
from expirespan.experiments.settings.config_file import read_settings
from expirespan.parameters import (
    Alphabet,
    Delay,
    LearningRate,
    MaxGradNorm,
    NSteps,
    Number,
    NumEnvs,
    ParticleColours,
    Price,
    Rate,
    Seed,
    ShortestDelay,
    Steps,
    Symbols,
    Threads,
)


@dataclass(frozen=True)
class CopyTask:
    """Symbols to be repeated after a long delay."""

    name: ClassVar[str] = "copy"
    delay: Delay = 1000
    """Steps of noise between the symbols and the questions; evaluation uses exactly these."""
    shortest: ShortestDelay | None = 10
    """In training delays are drawn log-uniformly from this to delay; None for delay alone."""
    payload: Symbols = 4
    """Symbols to be repeated."""
    symbols: Alphabet = 8
    """Number of different symbols; chance is one in so many."""


@dataclass(frozen=True)
class CollisionTask:
    """Two moving coloured particles: in which quarter did a pair of colours meet last?"""

    name: ClassVar[str] = "collision"
    colours: ParticleColours = 4
    """Number of colours."""
    episode: Steps = 8192
    """Steps of an episode."""
    ask: Rate = 0.05
    """Probability of a question, per step."""


@dataclass(frozen=True)
class CharLMTask:
    """The next byte of a text."""

    name: ClassVar[str] = "charlm"
    text: str = "enwik8"
    """File or folder: enwik8 (raw or .zip), train.txt, valid.txt and test.txt, or PG-19."""


Task = CopyTask | CollisionTask | CharLMTask


@dataclass(frozen=True)
class SequenceConfig:
    """One run on a sequence task."""

    recipe: str = "sequence"
    """Name of the folder under runs."""
    seed: Seed = 0
    """Seed of weights and data; evaluation draws its own data."""
    task: Task = field(default_factory=CopyTask)
    """What is read and asked."""
    memory: Memory = field(default_factory=ExpireSpanSettings)
    """What it is remembered with."""
    rows: NumEnvs = 16
    """Sequences side by side."""
    block: NSteps = 64
    """Steps read at once; gradient goes no farther back than the block."""
    weights: str | None = None
    """Run whose newest weights to begin with, as after training with a shorter reach; None to begin anew."""
    updates: Count = 2000
    """Updates of the weights."""
    accumulate: Number = 1
    """Blocks per update."""
    learning_rate: LearningRate = 1e-3
    """Step size of Adam after the warm-up."""
    warmup: CountOrNone = 100
    """Updates over which the step size rises from 0; then it falls to 0 as half a cosine."""
    max_grad_norm: MaxGradNorm = 1.0
    """Gradients are clipped to this norm."""
    span_penalty: Price = 0.0
    """Price of a step of span in the loss."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto is bfloat16 on a GPU."""
    evaluate_every: Count = 500
    """Updates between evaluations."""
    evaluation_steps: Count = 4096
    """Steps of every row in an evaluation."""
    evaluation_rows: NumEnvs = 16
    """Rows of an evaluation; 1 reads a text as one stream, with its whole history."""
    save_every: Count = 500
    """Updates between checkpoints."""
    checkpoints: Number = 2
    """Newest checkpoints to keep."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto is a GPU where there is one."""
    threads: Threads = 1
    """Threads of PyTorch on the CPU."""
    runs: str = "runs"
    """Folder for run folders."""
    wandb: Literal["auto", "offline", "off"] = "auto"
    """W&B: auto is online where you are logged in and offline elsewhere."""
    wandb_run: WandbSettings = field(default_factory=WandbSettings)
    """How W&B files the run."""
    tensorboard: bool = True
    """Write TensorBoard files."""
    progress: bool = True
    """Show a progress bar."""


TASKS: dict[str, type[Task]] = {task.name: task for task in (CopyTask, CollisionTask, CharLMTask)}
"""Tasks by name."""

KINDS: Kinds = {"task": dict(TASKS), "memory": ALL_KINDS["memory"]}
"""The kinds of each part of a `SequenceConfig`, by name."""


def read_sequence_config(run: Run) -> SequenceConfig:
    """The settings of a run on a sequence task."""
    return read_settings(run.folder / "config.yaml", SequenceConfig, KINDS)
