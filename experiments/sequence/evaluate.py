"""Scores on data that training does not see, read as one stream per row with the memory carried from its beginning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from expirespan.experiments.sequence.stream import Stream
from expirespan.experiments.sequence.trainer import Trainer, answers
from expirespan.experiments.settings.errors import UserError


@dataclass(frozen=True)
class SequenceScore:
    """``accuracy`` of ``questions`` answers beside ``chance``; ``bits`` of surprise per question (for text: per byte).

    ``alive``: memories that a step could read, the mean per layer. ``kept_bytes``: of the state at the end.
    """

    accuracy: float
    chance: float | None
    bits: float
    questions: int
    alive: list[float]
    kept_bytes: int


@torch.no_grad()
def evaluate(trainer: Trainer, stream: Stream, steps: int) -> SequenceScore:
    """Read ``steps`` of every row in blocks, beginning with an empty memory.

    Raises:
        UserError: nothing was asked within these steps.
    """
    model = trainer.model
    model.eval()
    state = model.memory.initial_state(stream.rows)
    nats, right, asked, read = 0.0, 0, 0, 0
    alive: list[float] = []
    while read < steps:
        take = min(trainer.config.block, steps - read)
        tokens, targets, start = trainer.read(stream, take)
        with trainer.autocast():
            logits, out = model(tokens, state, start)
        loss, hits, count = answers(logits, targets)
        state, read = out.state, read + take
        nats, right, asked = nats + loss.item(), right + int(hits), asked + int(count)
        sums = [n.float().mean().item() * take for n in out.trace.alive]
        alive = [a + b for a, b in zip(alive or [0.0] * len(sums), sums, strict=True)]
    if not asked:
        raise UserError(
            f"nothing was asked in {steps:,} steps of {stream.rows} rows: ask for more --evaluation-steps or "
            "--evaluation-rows"
        )
    return SequenceScore(
        accuracy=right / asked,
        chance=stream.chance,
        bits=nats / asked / math.log(2),
        questions=asked,
        alive=[total / steps for total in alive],
        kept_bytes=int(getattr(state, "nbytes", 0)),
    )
