"""Training loop: a memory reads blocks of a stream, its state is carried across, every few blocks an update follows."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from expirespan.agents.checkpoint.plausible import check_memory, check_optimizer
from expirespan.agents.checkpoint.weights import differences, listed
from expirespan.experiments.sequence import checkpoint
from expirespan.experiments.sequence.build import make_model, make_stream, pick_device
from expirespan.experiments.sequence.config import KINDS, SequenceConfig
from expirespan.experiments.sequence.stream import IGNORE, Stream
from expirespan.experiments.settings.config_file import from_dict, to_dict
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import MemoryState, TransformerMemory
from expirespan.quoting import said

FIXED = ("seed", "task", "memory", "rows", "block", "accumulate")
"""Settings that a run cannot change when it is resumed."""


def learning_rate(config: SequenceConfig, update: int) -> float:
    """Step size of an update (from 0 on): linear warm-up, then half a cosine down to 0."""
    if update < config.warmup:
        return config.learning_rate * (update + 1) / config.warmup
    done = (update - config.warmup) / max(1, config.updates - config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def answers(logits_BTC: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Summed cross-entropy in nats, number of right answers, and number of questions."""
    logits = logits_BTC.to(torch.promote_types(logits_BTC.dtype, torch.float32)).flatten(0, 1)
    loss = F.cross_entropy(logits, targets_BT.flatten(), ignore_index=IGNORE, reduction="sum")
    asked = targets_BT != IGNORE
    right = (logits_BTC.argmax(-1) == targets_BT) & asked
    return loss, right.sum(), asked.sum()


class Trainer:
    """Model, optimiser, stream and the state between blocks; all of it is in a checkpoint.

    ``num_timesteps``: steps read so far, of all rows together.
    """

    def __init__(self, config: SequenceConfig) -> None:
        for name in ("rows", "block", "updates", "accumulate", "evaluation_rows"):
            if getattr(config, name) < 1:
                raise UserError(f"{name}={getattr(config, name)}: expected an integer >= 1")
        self.config = config
        self.device = pick_device(config)
        self.stream = make_stream(config)
        self.model = make_model(config, self.stream).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate)
        self.state: MemoryState = self.model.memory.initial_state(config.rows)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.update_number, self.num_timesteps = 0, 0

    @property
    def resumable_timesteps(self) -> int:
        """Steps at which a run that is saved now goes on."""
        return self.num_timesteps

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 matrix products where the settings say so."""
        chosen = self.config.precision
        if chosen == "bfloat16" or (chosen == "auto" and self.device.type == "cuda"):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def read(self, stream: Stream, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """The stream's next block on the device: tokens, targets, starts."""
        tokens, targets, start = (
            torch.from_numpy(part.copy()).to(self.device) for part in stream.block(steps)
        )
        return tokens, targets, start

    def update(self) -> dict[str, float]:
        """One update on the next ``accumulate`` blocks; returns what to log."""
        config, model = self.config, self.model
        model.train()
        rate = learning_rate(config, self.update_number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total, right, asked, penalty = 0.0, 0, 0, 0.0
        for _ in range(config.accumulate):
            tokens, targets, start = self.read(self.stream, config.block)
            state = self.state
            if isinstance(model.memory, TransformerMemory):
                state = model.memory.shorten(state, self.generator)  # type: ignore[arg-type]
            with self.autocast():
                logits, out = model(tokens, state, start)
            nats, hits, count = answers(logits, targets)
            price = out.penalty.sum()
            loss = nats / count.clamp(min=1) + config.span_penalty * price + out.auxiliary.sum()
            (loss / config.accumulate).backward()
            self.state = out.state.detach()
            self.num_timesteps += tokens.shape[0] * tokens.shape[1]
            total, right, asked = total + nats.item(), right + int(hits), asked + int(count)
            penalty += price.item() / config.accumulate
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm))
        if not math.isfinite(norm + total):
            raise UserError(
                f"the loss became {total} and the norm of its gradient {norm} at update {self.update_number}; lower "
                "--learning-rate or --max-grad-norm"
            )
        self.optimizer.step()
        self.update_number += 1
        logs = {"train/learning_rate": rate, "train/grad_norm": norm, "expire/penalty": penalty}
        logs |= {f"expire/layer{i}/alive": n.float().mean().item() for i, n in enumerate(out.trace.alive)}
        if asked:
            logs |= {"train/loss": total / asked, "train/accuracy": right / asked}
        return logs

    def save(self, path: str | Path) -> None:
        """Write everything that the next update depends on, atomically."""
        content = {
            "config": json.loads(json.dumps(to_dict(self.config))),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": self.state.without_cache(),
            "stream": self.stream.state_dict(),
            "generators": [self.generator.get_state(), torch.get_rng_state()],
            "counters": [self.update_number, self.num_timesteps],
        }
        checkpoint.save(content, Path(path))

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint, exactly.

        Raises:
            UserError: it cannot be read, is damaged, or its settings or vocabulary are others.
        """
        content = checkpoint.load(Path(path), self.model.memory)
        before = from_dict(content["config"], f"the checkpoint {path}", SequenceConfig, KINDS)
        for name in FIXED:
            if getattr(before, name) != getattr(self.config, name):
                raise UserError(
                    f"{name} cannot change when a run is resumed: it was {getattr(before, name)} in {path} and is now "
                    f"{getattr(self.config, name)}; leave it out, or begin a new run"
                )
        self._load_model(content, path)
        try:
            self.optimizer.load_state_dict(content["optimizer"])
            check_optimizer(self.optimizer)
            self.state = check_memory(self.model.memory, content["state"], self.config.rows).to(self.device)
            self.stream.load_state_dict(content["stream"])
            mine, everyone = content["generators"]
            self.generator.set_state(mine)
            torch.set_rng_state(everyone)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
            raise UserError(f"the checkpoint {path} cannot be gone on from: {said(error, 300)}") from error
        self.update_number, self.num_timesteps = content["counters"]

    def load_weights(self, path: str | Path) -> tuple[int, int]:
        """Take only the weights, for other data or another reach; returns the updates and steps they were trained.

        Raises:
            UserError: the file cannot be read, or it is of another model or vocabulary.
        """
        content = checkpoint.load(Path(path), self.model.memory)
        self._load_model(content, path)
        updates, timesteps = content["counters"]
        return updates, timesteps

    def _load_model(self, content: dict[str, Any], path: str | Path) -> None:
        embedding = content["model"].get("embedding.weight", torch.zeros(0))
        if len(embedding) != self.stream.vocabulary:
            raise UserError(
                f"the checkpoint {path} knows a vocabulary of {len(embedding)} tokens and the data have "
                f"{self.stream.vocabulary}; use the data it was trained on"
            )
        wrong = differences({"model": content["model"]}, {"model": self.model.state_dict()})
        if wrong:
            raise UserError(
                f"the checkpoint {path} is of another model: {listed(wrong)}; keep the memory's kind, width, layers "
                "and heads"
            )
        self.model.load_state_dict(content["model"])
