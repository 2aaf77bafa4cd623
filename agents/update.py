"""The update that memory agents share: ``n_epochs`` passes over a rollout in minibatches of segments.

It differs from SB3's in that segments are re-read from the memory at their start, so ratios are exact and writers get
gradient. The loss carries the price of memory, and, if asked for, a lesson in forgetting
(`expirespan.agents.forgetting`). The objectives are in `ppo.py` and `a2c.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.utils import explained_variance
from torch.nn import functional as F

from expirespan.agents.core.buffer import SegmentBatch
from expirespan.agents.core.steps import MemoryEvaluation
from expirespan.agents.forgetting.lesson import Lesson, LessonGradient
from expirespan.agents.forgetting.penalty import PenaltySchedule
from expirespan.agents.rollout import RolloutAlgorithm
from expirespan.memory import TransformerMemory

DECISIVE = {
    "train/loss": "the loss",
    "expire/forgetting_kl": "the divergence in the lesson in forgetting",
    "the norm of the gradient": "the norm of the gradient",
}
"""Values without which there is no update if they are not finite, and what a message calls them."""


class PolicyLoss(NamedTuple):
    """What an objective returns: the loss, and scalars to log; ``train/approx_kl`` among them stops an update early."""

    loss: th.Tensor
    logs: dict[str, th.Tensor]


class Objective(NamedTuple):
    """Of a minibatch: the loss, scalars to log, and what the lesson in forgetting asks of the spans, if it is given."""

    loss: th.Tensor
    logs: dict[str, th.Tensor]
    lesson: LessonGradient | None


class UpdatingAlgorithm(RolloutAlgorithm):
    """`RolloutAlgorithm` that learns from its rollouts. Subclasses give `policy_loss` and `value_loss`."""

    batch_size: int | None
    n_epochs: int
    normalize_advantage: bool
    min_advantage_std: float
    target_kl: float | None
    span_penalty: PenaltySchedule
    _lesson: Lesson | None

    def _update_learning_rate(self, optimizers: list[th.optim.Optimizer] | th.optim.Optimizer) -> None:
        """Set the schedule's learning rate, times the pace of `Forgetting` and a group's ``lr_scale``.

        SB3 gives every group the same rate, which would undo ``predictor_lr`` (`policies.py`).
        """
        super()._update_learning_rate(optimizers)
        pace = 1.0 if self.forgetting is None else self.forgetting.pace(self.span_penalty)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            for group in optimizer.param_groups:
                group["lr"] *= group.get("lr_scale", 1.0) * pace
        self.logger.record("train/learning_rate", pace * self.lr_schedule(self._current_progress_remaining))

    def policy_loss(self, log_prob: th.Tensor, batch: SegmentBatch, advantages: th.Tensor) -> PolicyLoss:
        """Loss to be minimised for the actor."""
        raise NotImplementedError

    def value_loss(self, values: th.Tensor, batch: SegmentBatch) -> th.Tensor:
        """Loss to be minimised for the critic."""
        return F.mse_loss(values, batch.returns)

    def train(self) -> None:
        """Update policy, critic and memory on the rollout: ``n_epochs`` passes in minibatches of segments."""
        self._rollout_start = None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        score = self.hard_score()
        alpha = self.span_penalty(self.num_timesteps, score)
        teachers = self._lesson.teachers if self._lesson is not None and alpha > 0 else None
        logs: dict[str, list[float]] = {}
        stop = False
        for epoch in range(self.n_epochs):
            for batch in self._segments.get(self.batch_size, teachers):
                objective = self._objective(batch, alpha)
                values = _read(objective.logs)
                if objective.lesson is not None:
                    values["expire/forgetting_kl"] = objective.lesson.kl
                self._check_update(values)
                for key, value in values.items():
                    logs.setdefault(key, []).append(value)
                approx_kl = values.get("train/approx_kl", 0.0)
                if self.target_kl is not None and approx_kl > 1.5 * self.target_kl:
                    stop = True
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {approx_kl:.2f}")
                    break
                self._descend(objective)
            self._n_updates += 1
            if stop:
                break
        self._log_update(logs, alpha, score)

    def _objective(self, batch: SegmentBatch, alpha: float) -> Objective:
        """What a minibatch asks for. ``alpha``: the price of memory."""
        ev = self.actor.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        advantages = batch.advantages
        if self.normalize_advantage and advantages.numel() > 1:
            std = (advantages.std() + 1e-8).clamp_min(self.min_advantage_std)
            advantages = (advantages - advantages.mean()) / std
        actor = self.policy_loss(ev.log_prob, batch, advantages)
        critic = self.value_loss(ev.values, batch)
        entropy_loss = -th.mean(-ev.log_prob if ev.entropy is None else ev.entropy)
        penalty, auxiliary = ev.penalty.sum(), ev.auxiliary.sum()
        loss = actor.loss + self.ent_coef * entropy_loss + self.vf_coef * critic + auxiliary
        lesson = None
        if self._lesson is None:
            loss = loss + alpha * penalty
        elif alpha > 0:
            assert isinstance(ev, MemoryEvaluation)
            lesson = self._lesson.gradient(batch, ev, alpha)
        logs = actor.logs | {"train/value_loss": critic, "train/entropy_loss": entropy_loss}
        if len(ev.penalty):
            logs["expire/penalty"] = penalty
        if auxiliary.requires_grad:
            logs["train/reconstruction_loss"] = auxiliary
        return Objective(loss, logs | {"train/loss": loss}, lesson)

    def _descend(self, objective: Objective) -> None:
        """One step of the optimiser, unless the gradient is not finite, and one of the lesson in forgetting."""
        self.policy.optimizer.zero_grad()
        objective.loss.backward()
        for parameter in [] if self._lesson is None else self._lesson.parameters:
            parameter.grad = None  # only the lesson moves the span predictors
        norm = th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self._check_update(_read({"the norm of the gradient": norm}))
        self.policy.optimizer.step()
        if self._lesson is not None and objective.lesson is not None:
            self._lesson.learn(objective.lesson)

    def _check_update(self, values: dict[str, float]) -> None:
        """Raise ValueError if one of the values that decide an update is not finite."""
        for key, name in DECISIVE.items():
            value = values.get(key, 0.0)
            if not np.isfinite(value):
                parts = f" (parts: {values})" if key == "train/loss" else ""
                raise ValueError(
                    f"{name} became {value} after {self.num_timesteps} steps{parts}; the weights are "
                    "those before this minibatch. Lower learning_rate or max_grad_norm, or scale the reward"
                )

    def _log_update(self, logs: dict[str, list[float]], alpha: float, score: float | None) -> None:
        for key, values in logs.items():
            self.logger.record(key, values[-1] if key == "train/loss" else float(np.mean(values)))
        buffer = self._segments
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", th.exp(self.policy.log_std).mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        memory = self.actor.memory
        if isinstance(memory, TransformerMemory):
            self.logger.record("expire/penalty_coef", alpha)
            if score is not None:
                self.logger.record("expire/score", score)


def _read(values: dict[str, th.Tensor]) -> dict[str, float]:
    """Scalars as numbers, by one transfer from the device."""
    numbers: list[float] = th.stack([value.detach().float() for value in values.values()]).tolist()
    return dict(zip(values, numbers, strict=True))
