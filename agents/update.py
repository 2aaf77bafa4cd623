"""The update that memory agents share: ``n_epochs`` passes over a rollout in minibatches of segments.

It differs from SB3's in that segments are re-read from the memory at their start, so ratios are exact and writers get
gradient. The loss carries the price of memory, and, if asked for, a lesson in forgetting
(`expirespan.agents.forgetting`). The objectives are in `ppo.py` and `a2c.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch as th
from torch.nn import functional as F

from expirespan.agents.core.buffer import SegmentBatch
from expirespan.agents.core.optimizers import step_if
from expirespan.agents.core.steps import MemoryEvaluation
from expirespan.agents.forgetting.lesson import Lesson, LessonGradient
from expirespan.agents.forgetting.penalty import AdaptivePenalty, PenaltySchedule
from expirespan.agents.rollout import RolloutAlgorithm
from expirespan.memory import TransformerMemory

NORM = "the norm of the gradient"
MEMORY, SHARE = "expire/forgetting_memory", "expire/price_share"
DECISIVE = {
    "train/loss": "the loss",
    "expire/forgetting_kl": "the divergence in the lesson in forgetting",
    NORM: NORM,
}
"""Values without which there is no update if they are not finite, and what a message calls them."""


class PolicyLoss(NamedTuple):
    """What an objective returns: the loss, and scalars to log; ``train/approx_kl`` among them stops an update early."""

    loss: th.Tensor
    logs: dict[str, th.Tensor]


class Objective(NamedTuple):
    """Of a minibatch: the loss, scalars to log, and what the lesson in forgetting asks of the spans, if it is given.

    The loss is that of this worker's segments, with the ``weight`` that they have among all; the scalars are of all.
    """

    loss: th.Tensor
    logs: dict[str, th.Tensor]
    lesson: LessonGradient | None
    weight: float


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
        """Loss (scalar) to be minimised for the actor; arguments of the minibatch's steps (n, T)."""
        raise NotImplementedError

    def value_loss(self, values: th.Tensor, batch: SegmentBatch) -> th.Tensor:
        """Loss (scalar) to be minimised for the critic, whose ``values`` are (n, T)."""
        return F.mse_loss(values, batch.returns)

    def train(self) -> None:
        """Update policy, critic and memory on the rollout: ``n_epochs`` passes in minibatches of segments.

        Numbers are read off the device once, at the end; with ``target_kl`` one more per minibatch. From a minibatch on
        that is not finite no weight moves any more.
        """
        self._rollout_start = None
        self.workers.share_random_state(self.device)
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        score = self.hard_score()
        if isinstance(self.span_penalty, AdaptivePenalty) and self.span_penalty.current > 0:
            self.span_penalty.settle(score, self.hard_score(full=True))
        alpha = self.span_penalty(self.num_timesteps, score)
        teachers = self._lesson.teachers if self._lesson is not None and alpha > 0 else None
        logs: list[dict[str, th.Tensor]] = []
        fine = th.ones((), dtype=th.bool, device=self.device)
        stop = False
        for epoch in range(self.n_epochs):
            for batch in self._segments.get(self.batch_size, teachers):
                objective = self._objective(batch, alpha)
                logs.append(objective.logs)
                if self.target_kl is not None and "train/approx_kl" in objective.logs:
                    approx_kl = objective.logs["train/approx_kl"].item()
                    if approx_kl > 1.5 * self.target_kl:
                        stop = True
                        if self.verbose >= 1:
                            print(f"Early stopping at step {epoch} due to reaching max kl: {approx_kl:.2f}")
                        break
                fine = self._descend(objective, fine)
            self._n_updates += 1
            if stop:
                break
        found = self._read(logs)
        if self._lesson is not None and MEMORY in found:
            full = alpha >= getattr(self.span_penalty, "coef", alpha)
            share = float(np.mean(found[SHARE])) if full else 0.0
            self._lesson.price_decay.update(float(np.mean(found[MEMORY])), share)
        self._log_update(found, alpha, score)

    def _objective(self, batch: SegmentBatch, alpha: float) -> Objective:
        """What a minibatch asks for. ``alpha``: the price of memory."""
        segments = batch.observations, batch.actions, batch.state, batch.episode_starts
        ev = self.actor.unroll(*segments, batch.action_masks)
        advantages, part = batch.advantages, batch.share
        if self.normalize_advantage and part.total * advantages.shape[1] > 1:
            mean, std = self.workers.moments(advantages, part.weight > 0)
            advantages = (advantages - mean) / (std + 1e-8).clamp_min(self.min_advantage_std)
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
        logs["train/loss"] = loss
        if lesson is not None:
            logs |= {"expire/forgetting_kl": lesson.kl, MEMORY: lesson.memory, SHARE: lesson.share}
        logs = self.workers.means({name: value.detach() for name, value in logs.items()}, part.weight)
        return Objective(loss, logs, lesson, part.weight)

    def _descend(self, objective: Objective, fine: th.Tensor) -> th.Tensor:
        """One step of the optimiser, and one of the lesson in forgetting, where all was finite so far.

        ``fine`` (bool): whether it was before this minibatch. Returns whether it is now.
        """
        optimizer, parameters = self.policy.optimizer, list(self.policy.parameters())
        optimizer.zero_grad()
        objective.loss.backward()
        self.workers.average_gradients(parameters, objective.weight)
        for parameter in [] if self._lesson is None else self._lesson.parameters:
            parameter.grad = None  # only the lesson moves the span predictors
        objective.logs[NORM] = th.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm).detach()
        decisive = [objective.logs[name] for name in DECISIVE if name in objective.logs]
        fine = fine & th.stack(decisive).isfinite().all()
        step_if(optimizer, fine)
        if self._lesson is not None and objective.lesson is not None:
            self._lesson.learn(objective.lesson, fine)
        return fine

    def _read(self, logs: list[dict[str, th.Tensor]]) -> dict[str, list[float]]:
        """The numbers of all minibatches, by one transfer from the device.

        Raises:
            ValueError: one of those that decide an update is not finite.
        """
        flat = iter(th.stack([v.float() for values in logs for v in values.values()]).tolist())
        found: dict[str, list[float]] = {}
        for values in logs:
            numbers = {name: next(flat) for name in values}
            self._check_update(numbers)
            for name, number in numbers.items():
                found.setdefault(name, []).append(number)
        found.pop(NORM, None)
        return found

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
        values, returns = self._segments.values, self._segments.returns
        rest, spread = self.workers.variance(returns - values), self.workers.variance(returns)
        self.logger.record("train/explained_variance", float(1 - rest / spread) if spread else np.nan)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", th.exp(self.policy.log_std).mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        memory = self.actor.memory
        if isinstance(memory, TransformerMemory):
            self.logger.record("expire/penalty_coef", alpha)
            if self._lesson is not None:
                self.logger.record("expire/price_factor", self._lesson.price_decay.factor)
            if score is not None:
                self.logger.record("expire/score", score)
