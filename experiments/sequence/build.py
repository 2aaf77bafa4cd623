"""Construction of streams and models from settings."""

from __future__ import annotations

from typing import Literal

import torch

from expirespan.experiments.making.agents import check_device
from expirespan.experiments.sequence.charlm import CharLM
from expirespan.experiments.sequence.collision import Collision
from expirespan.experiments.sequence.config import CharLMTask, CollisionTask, SequenceConfig
from expirespan.experiments.sequence.copying import Copy
from expirespan.experiments.sequence.corpora import load_corpus
from expirespan.experiments.sequence.model import SequenceModel
from expirespan.experiments.sequence.stream import Stream
from expirespan.experiments.settings import settings
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import make_memory

EVALUATION_SEED = 1_000_003
"""Added to the seed, so that evaluation sees other data than training."""


def make_stream(config: SequenceConfig, split: Literal["train", "valid", "test"] = "train") -> Stream:
    """The data to train on, or others to evaluate on.

    Raises:
        UserError: settings that do not fit, or a text that is missing or too short.
    """
    training = split == "train"
    task, rows = config.task, config.rows if training else config.evaluation_rows
    seed = config.seed + (0 if training else EVALUATION_SEED + (split == "test"))
    try:
        if isinstance(task, CharLMTask):
            return CharLM(rows, load_corpus(task.text, split), config.block)
        if isinstance(task, CollisionTask):
            if task.ask == 0:
                raise UserError("task collision: ask=0 asks nothing; expected more than 0, such as 0.05")
            return Collision(rows, seed=seed, **settings(task))
        if config.evaluation_steps <= task.delay + task.payload:
            raise UserError(
                f"evaluation-steps={config.evaluation_steps} ends before the first question of task copy at step "
                f"{task.delay + task.payload}; ask for several times as many"
            )
        given = settings(task) | ({} if training else {"shortest": None})
        return Copy(rows, seed=seed, **given)
    except ValueError as error:
        raise UserError(f"task {task.name}: {error}") from None


def make_model(config: SequenceConfig, stream: Stream) -> SequenceModel:
    """A new model for the tokens of ``stream``, its weights drawn from the seed.

    Raises:
        UserError: the memory's settings do not fit.
    """
    torch.manual_seed(config.seed)
    try:
        memory = make_memory(config.memory.name, **settings(config.memory))
    except (ValueError, TypeError) as error:
        raise UserError(f"memory {config.memory.name}: {error}") from None
    return SequenceModel(stream.vocabulary, stream.classes, memory)


def pick_device(config: SequenceConfig) -> torch.device:
    """The device of the settings; auto is a GPU where there is one."""
    name = check_device(config.device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
