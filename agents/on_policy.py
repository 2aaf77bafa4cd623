"""The rollout and update loop that memory agents share; what they optimise is theirs (`ppo.py`, `a2c.py`).

SB3's `OnPolicyAlgorithm` with three differences. The policy is stepped with an explicit memory state. A minibatch
consists of segments re-read from the memory at their start, so ratios are exact and writers get gradient. The loss
carries the price of memory, and, if asked for, a lesson in forgetting (`forgetting.py`).
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import explained_variance, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional as F

from expirespan.agents.checks import check_finite
from expirespan.agents.buffer import MemoryRolloutBuffer, SegmentBatch
from expirespan.agents.forgetting import Forgetting, RolloutSpans
from expirespan.agents.penalty import PenaltySchedule, as_schedule
from expirespan.agents.policies import (
    MemoryActorCriticCnnPolicy,
    MemoryActorCriticPolicy,
    MemoryMultiInputActorCriticPolicy,
)
from expirespan.memory import TransformerMemory

class PolicyLoss(NamedTuple):
    """What an objective returns: the loss, its value for early stopping, and scalars to log."""

    loss: th.Tensor
    approx_kl: float
    logs: dict[str, float]


class MemoryOnPolicyAlgorithm(OnPolicyAlgorithm):
    """On-policy actor-critic over a memory policy. Subclasses give `policy_loss` and `value_loss`.

    Beyond SB3's arguments: ``span_penalty``, alpha or a schedule of it (`penalty.py`); ``forgetting``, a
    `Forgetting` lesson or None; ``min_advantage_std``, lower bound of the divisor that normalises advantages (SB3's
    1e-8 blows up noise where a minibatch holds no reward).
    """

    policy: MemoryActorCriticPolicy
    rollout_buffer: MemoryRolloutBuffer
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MemoryActorCriticPolicy,
        "CnnPolicy": MemoryActorCriticCnnPolicy,
        "MultiInputPolicy": MemoryMultiInputActorCriticPolicy,
    }

    def __init__(
        self,
        *args: Any,
        batch_size: int | None,
        n_epochs: int,
        normalize_advantage: bool,
        target_kl: float | None = None,
        span_penalty: float | PenaltySchedule = 0.0,
        forgetting: Forgetting | None = None,
        min_advantage_std: float = 1e-8,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs["supported_action_spaces"] = (
            spaces.Box,
            spaces.Discrete,
            spaces.MultiDiscrete,
            spaces.MultiBinary,
        )
        super().__init__(*args, _init_setup_model=False, **kwargs)
        self.batch_size, self.n_epochs = batch_size, n_epochs
        self.normalize_advantage, self.min_advantage_std = normalize_advantage, min_advantage_std
        self.target_kl = target_kl
        self.span_penalty = as_schedule(span_penalty)
        self.forgetting = forgetting
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if self.rollout_buffer_class is None:
            self.rollout_buffer_class = MemoryRolloutBuffer
            length = min(self.n_steps, self.batch_size or self.n_steps)
            self.rollout_buffer_kwargs = {"segment_length": length} | self.rollout_buffer_kwargs
        super()._setup_model()
        if self.forgetting is not None and not isinstance(self.policy.memory, TransformerMemory):
            raise ValueError(
                f"forgetting needs a memory with spans, and {self.policy.memory_name!r} has none; "
                "leave forgetting=None or choose memory='expire_span'"
            )
        self._memory_state = self.policy.initial_state(self.n_envs)
        self._scores: deque[float] = deque(maxlen=self._stats_window_size)
        self._rollout_spans = RolloutSpans(self._forgetful())

    def _forgetful(self) -> th.Tensor:
        """(N,) bool: environments that act with the memory's own spans."""
        if self.forgetting is None:
            return th.ones(self.n_envs, dtype=th.bool, device=self.device)
        return ~self.forgetting.teachers(self.n_envs, self.device)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_memory_state", "_rollout_spans", "_scores"]

    def _begin_rollout(self) -> None:
        """Bring the memory up to date with the weights, and draw what this rollout does to its spans."""
        memory = self.policy.memory
        self._memory_state = memory.refresh(self._memory_state)
        if isinstance(memory, TransformerMemory):
            self._memory_state = memory.shorten(self._memory_state)
            if self.forgetting is not None:
                self._memory_state = self.forgetting.begin(memory, self._memory_state)
        self._rollout_spans = RolloutSpans(self._forgetful())

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Act for ``n_rollout_steps`` in every environment and fill the buffer; False if the callback says stop."""
        assert self._last_obs is not None, "no previous observation: call learn(), which resets the environment"
        assert isinstance(rollout_buffer, MemoryRolloutBuffer)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        callback.on_rollout_start()
        self._begin_rollout()

        for n_steps in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            if rollout_buffer.wants_snapshot():
                rollout_buffer.add_snapshot(self._memory_state)
            with th.no_grad():
                obs = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
                starts = th.as_tensor(self._last_episode_starts, dtype=th.bool, device=self.device)
                out = self.policy.step(obs, self._memory_state, starts)
            actions = out.actions.cpu().numpy()
            new_obs, rewards, dones, infos = env.step(self.policy.to_env(actions))
            check_finite(new_obs, rewards, self.num_timesteps)
            self.num_timesteps += env.num_envs

            callback.update_locals(locals())
            if not callback.on_step():
                return False

            self._update_info_buffer(infos, dones)
            self._keep_scores(infos, dones)
            self._rollout_spans.add(out.trace)
            rewards = rewards + self.gamma * self._values_at_timeout(infos, dones, out.state)
            rollout_buffer.add(obs, out.actions, rewards, starts, out.values, out.log_prob)
            self._last_obs, self._last_episode_starts, self._memory_state = new_obs, dones, out.state  # type: ignore[assignment]

        with th.no_grad():
            obs = obs_as_tensor(new_obs, self.device)  # type: ignore[arg-type]
            values = self.policy.predict_values(obs, out.state, th.as_tensor(dones, device=self.device))
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _values_at_timeout(self, infos: list[dict[str, Any]], dones: np.ndarray, state: Any) -> np.ndarray:
        """(N,) V(terminal observation | memory after the last step) where a time limit cut an episode, else 0.

        A time limit is no end of the task (Pardo et al. 2018, arXiv 1712.00378).
        """
        values = np.zeros(len(dones), dtype=np.float32)
        cut = [i for i in np.flatnonzero(dones) if infos[i].get("TimeLimit.truncated", False)]
        if cut:
            last = [infos[i]["terminal_observation"] for i in cut]
            stacked = {k: np.stack([o[k] for o in last]) for k in last[0]} if isinstance(last[0], dict) else np.stack(last)
            with th.no_grad():
                obs = self.policy.obs_to_tensor(stacked)[0]
                values[cut] = self.policy.predict_values(obs, state[cut]).flatten().cpu().numpy()
        return values

    def _keep_scores(self, infos: list[dict[str, Any]], dones: np.ndarray) -> None:
        """Score the episodes that ended where memories expire: success if the environment tells, else return."""
        counted = self._rollout_spans.counted
        for i in np.flatnonzero(dones):
            if counted[i]:
                score = infos[i].get("is_success", infos[i].get("episode", {}).get("r"))
                if score is not None:
                    self._scores.append(float(score))

    def _update_learning_rate(self, optimizers: list[th.optim.Optimizer] | th.optim.Optimizer) -> None:
        """Set the schedule's learning rate, times ``lr_scale`` in the parameter groups that have one.

        SB3 gives every group the same rate, which would undo ``predictor_lr`` (`policies.py`).
        """
        super()._update_learning_rate(optimizers)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            for group in optimizer.param_groups:
                group["lr"] *= group.get("lr_scale", 1.0)

    def policy_loss(self, log_prob: th.Tensor, batch: SegmentBatch, advantages: th.Tensor) -> PolicyLoss:
        """Loss to be minimised for the actor."""
        raise NotImplementedError

    def value_loss(self, values: th.Tensor, batch: SegmentBatch) -> th.Tensor:
        """Loss to be minimised for the critic."""
        return F.mse_loss(values, batch.returns)

    def train(self) -> None:
        """Update policy, critic and memory on the rollout: ``n_epochs`` passes in minibatches of segments."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        score = float(np.mean(self._scores)) if self._scores else None
        alpha = self.span_penalty(self.num_timesteps, score)
        logs: dict[str, list[float]] = {}
        stop = False
        for epoch in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self.batch_size):
                loss, approx_kl = self._loss(batch, alpha, logs)
                if self.target_kl is not None and approx_kl > 1.5 * self.target_kl:
                    stop = True
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {approx_kl:.2f}")
                    break
                self.policy.optimizer.zero_grad()
                loss.backward()
                th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
            self._n_updates += 1
            if stop:
                break
        self._log_update(logs, alpha, score)

    def _loss(self, batch: SegmentBatch, alpha: float, logs: dict[str, list[float]]) -> tuple[th.Tensor, float]:
        """Whole loss of a minibatch, and its approximate KL from the policy that acted."""
        ev = self.policy.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        advantages = batch.advantages
        if self.normalize_advantage and advantages.numel() > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8).clamp_min(self.min_advantage_std)
        actor = self.policy_loss(ev.log_prob, batch, advantages)
        critic = self.value_loss(ev.values, batch)
        entropy_loss = -th.mean(-ev.log_prob if ev.entropy is None else ev.entropy)
        price = ev.memory.penalty.sum()
        loss = actor.loss + self.ent_coef * entropy_loss + self.vf_coef * critic + alpha * price
        parts = {"train/value_loss": critic, "train/entropy_loss": entropy_loss}
        if len(ev.memory.penalty):
            parts["expire/penalty"] = price
        if self.forgetting is not None and alpha > 0:
            parts["expire/forgetting_loss"] = lesson = self.forgetting.loss(self.policy, batch, ev)
            loss = loss + lesson
        parts["train/loss"] = loss
        values = actor.logs | {key: part.item() for key, part in parts.items()}
        if not np.isfinite(values["train/loss"]):
            raise ValueError(
                f"the loss became {values['train/loss']} after {self.num_timesteps} steps (parts: {values}); "
                "the weights are as before this update. Lower learning_rate or max_grad_norm, or scale the reward"
            )
        for key, value in values.items():
            logs.setdefault(key, []).append(value)
        return loss, actor.approx_kl

    def _log_update(self, logs: dict[str, list[float]], alpha: float, score: float | None) -> None:
        for key, values in logs.items():
            self.logger.record(key, values[-1] if key == "train/loss" else float(np.mean(values)))
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", th.exp(self.policy.log_std).mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        memory = self.policy.memory
        if isinstance(memory, TransformerMemory):
            self.logger.record("expire/penalty_coef", alpha)
            if score is not None:
                self.logger.record("expire/score", score)
            self._rollout_spans.record(self.logger, max(rule.max_span for rule in memory.rules))
