"""The algorithm that memory agents share: settings and update. The objectives are in `ppo.py` and `a2c.py`.

Acting is in `rollout.py`. An update differs from SB3's in that a minibatch consists of segments, re-read from
the memory at their start, so ratios are exact and writers get gradient. The loss carries the price of memory,
and, if asked for, a lesson in forgetting (`forgetting.py`).
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch.nn import functional as F

from expirespan.agents.base.checks import (
    check_class,
    check_count,
    check_learns_spans,
    check_number,
    check_observation_space,
)
from expirespan.agents.core.buffer import MemoryRolloutBuffer, SegmentBatch
from expirespan.agents.core.policies import MemoryActorCriticPolicy, has_memory
from expirespan.agents.core.steps import MemoryEvaluation
from expirespan.agents.forgetting.lesson import Forgetting, Lesson, LessonGradient
from expirespan.agents.forgetting.penalty import PenaltySchedule, as_schedule
from expirespan.agents.rollout import RolloutAlgorithm
from expirespan.agents.sb3.choices import MemoryChoicePolicy
from expirespan.agents.sb3.memoryless import MirroredRolloutBuffer
from expirespan.agents.sb3.space_policies import MemoryActorCriticCnnPolicy, MemoryMultiInputActorCriticPolicy
from expirespan.agents.sb3.vec_env import SB3VecEnv
from expirespan.memory import TransformerMemory
from expirespan.memory.rule import require


class PolicyLoss(NamedTuple):
    """What an objective returns: the loss, its value for early stopping, and scalars to log."""

    loss: th.Tensor
    approx_kl: float
    logs: dict[str, float]


class MemoryOnPolicyAlgorithm(RolloutAlgorithm):
    """On-policy actor-critic over a memory policy. Subclasses give `policy_loss` and `value_loss`.

    Beyond SB3's arguments: ``span_penalty``, alpha or a schedule of it (`penalty.py`); ``forgetting``, a
    `Forgetting` lesson or None; ``min_advantage_std``, lower bound of the divisor that normalises advantages
    (SB3's 1e-8 blows up noise where a minibatch holds no reward). ``env`` may also be a Gymnasium `VectorEnv`
    that resets in the same step; it is wrapped in `SB3VecEnv` and, unless it has `RecordEpisodeStatistics`,
    in `VecMonitor`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MemoryActorCriticPolicy,
        "CnnPolicy": MemoryActorCriticCnnPolicy,
        "MultiInputPolicy": MemoryMultiInputActorCriticPolicy,
        "ChoicePolicy": MemoryChoicePolicy,
    }

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        *,
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
        super().__init__(policy, env, _init_setup_model=False, **kwargs)
        self.batch_size, self.n_epochs = batch_size, n_epochs
        self.normalize_advantage, self.min_advantage_std = normalize_advantage, min_advantage_std
        self.target_kl = target_kl
        self.span_penalty = as_schedule(span_penalty)
        self.forgetting = forgetting
        self._check_settings()
        if not has_memory(self.policy_class):
            warnings.warn(
                f"policy {self.policy_class.__name__} has no memory and is trained as SB3 would train it; for one "
                f"with a memory choose {', '.join(self.policy_aliases)} or a subclass of MemoryActorCriticPolicy",
                stacklevel=3,
            )
        if env is not None:
            self._check_students()
        if _init_setup_model:
            self._setup_model()

    def _check_settings(self) -> None:
        """Raise ValueError for settings with which training could not go well; also called after loading."""
        check_class("policy", self.policy_class, ActorCriticPolicy, ", ".join(map(repr, self.policy_aliases)))
        if self.rollout_buffer_class is not None:
            check_class("rollout_buffer_class", self.rollout_buffer_class, RolloutBuffer, "None")
        if self.forgetting is not None:
            require(
                isinstance(self.forgetting, Forgetting), "forgetting", self.forgetting, "a Forgetting or None"
            )
        require(
            callable(self.span_penalty), "span_penalty", self.span_penalty, "a number or a schedule of it"
        )
        check_count("n_steps", self.n_steps)
        check_count("n_epochs", self.n_epochs)
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        check_number("gamma", self.gamma, 0, 1)
        check_number("gae_lambda", self.gae_lambda, 0, 1)
        check_number("min_advantage_std", self.min_advantage_std, 0)

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        given: Any = env
        if isinstance(given, VectorEnv):
            bridge = SB3VecEnv(given)
            recorded = bridge.env_is_wrapped(RecordEpisodeStatistics)[0]
            env = VecMonitor(bridge) if monitor_wrapper and not recorded else bridge
        check_observation_space(env.observation_space)
        return OnPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name not in self.policy_aliases:
            raise ValueError(
                f"policy {policy_name!r} is unknown; choose one of {', '.join(self.policy_aliases)}"
            )
        return super()._get_policy_from_name(policy_name)

    def _setup_model(self) -> None:
        self._check_settings()
        given = self.rollout_buffer_class, self.rollout_buffer_kwargs
        buffer_class = given[0] or MemoryRolloutBuffer
        cut = {"segment_length": self._segment_length()}
        takes_segments = issubclass(buffer_class, MemoryRolloutBuffer)
        self.rollout_buffer_class = buffer_class
        self.rollout_buffer_kwargs = cut | given[1] if takes_segments else given[1]
        super()._setup_model()
        self.rollout_buffer_class, self.rollout_buffer_kwargs = given  # as given, for a file that is loaded
        own = self.rollout_buffer
        self._segments = own if isinstance(own, MemoryRolloutBuffer) else self._mirrored(own, cut)
        self._lesson = None
        if self.forgetting is not None:
            name = getattr(self.policy, "memory_name", self.policy_class.__name__)
            check_learns_spans(self.actor.memory, name)
            assert isinstance(self.policy, MemoryActorCriticPolicy)
            self._lesson = Lesson(self.forgetting, self.policy, self.n_envs)
        self._setup_memory()

    def _learned_state(self) -> dict[str, Any]:
        return {} if self._lesson is None else {"lesson": self._lesson.state_dict()}

    def _set_learned_state(self, state: dict[str, Any]) -> None:
        if self._lesson is not None and "lesson" in state:
            self._lesson.load_state_dict(state["lesson"])

    def _segment_length(self) -> int:
        """Steps that a minibatch keeps together: all it can hold, or one if there is no memory."""
        return min(self.n_steps, self.batch_size or self.n_steps) if has_memory(self.policy_class) else 1

    def _mirrored(self, mirror: RolloutBuffer, kwargs: dict[str, Any]) -> MirroredRolloutBuffer:
        """Storage for segments beside a buffer without any."""
        sizes = self.n_steps, self.observation_space, self.action_space, self.device
        return MirroredRolloutBuffer(*sizes, n_envs=self.n_envs, mirror=mirror, **kwargs)

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
                loss, approx_kl, lesson = self._loss(batch, alpha, logs)
                if self.target_kl is not None and approx_kl > 1.5 * self.target_kl:
                    stop = True
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {approx_kl:.2f}")
                    break
                self._descend(loss, lesson)
            self._n_updates += 1
            if stop:
                break
        self._log_update(logs, alpha, score)

    def _descend(self, loss: th.Tensor, lesson: LessonGradient | None) -> None:
        """One step of the optimiser, unless the gradient is not finite, and one of the lesson in forgetting."""
        self.policy.optimizer.zero_grad()
        loss.backward()
        for parameter in [] if self._lesson is None else self._lesson.parameters:
            parameter.grad = None  # what is kept is the lesson's business alone
        norm = th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self._check_update("the norm of the gradient", norm.item())
        self.policy.optimizer.step()
        if self._lesson is not None and lesson is not None:
            self._lesson.learn(lesson)

    def _check_update(self, what: str, value: float, parts: str = "") -> None:
        if not np.isfinite(value):
            raise ValueError(
                f"{what} became {value} after {self.num_timesteps} steps{parts}; the weights are those "
                "before this minibatch. Lower learning_rate or max_grad_norm, or scale the reward"
            )

    def _loss(
        self, batch: SegmentBatch, alpha: float, logs: dict[str, list[float]]
    ) -> tuple[th.Tensor, float, LessonGradient | None]:
        """Loss of a minibatch, its approximate KL from the policy that acted, and the lesson drawn from it."""
        ev = self.actor.unroll(batch.observations, batch.actions, batch.state, batch.episode_starts)
        advantages = batch.advantages
        if self.normalize_advantage and advantages.numel() > 1:
            std = (advantages.std() + 1e-8).clamp_min(self.min_advantage_std)
            advantages = (advantages - advantages.mean()) / std
        actor = self.policy_loss(ev.log_prob, batch, advantages)
        critic = self.value_loss(ev.values, batch)
        entropy_loss = -th.mean(-ev.log_prob if ev.entropy is None else ev.entropy)
        price = ev.penalty.sum()
        loss = actor.loss + self.ent_coef * entropy_loss + self.vf_coef * critic
        auxiliary = ev.auxiliary.sum()
        loss = loss + auxiliary
        lesson = None
        if self._lesson is None:
            loss = loss + alpha * price
        elif alpha > 0:
            assert isinstance(ev, MemoryEvaluation)
            lesson = self._lesson.gradient(batch, ev, alpha)
        parts = {"train/value_loss": critic, "train/entropy_loss": entropy_loss}
        if len(ev.penalty):
            parts["expire/penalty"] = price
        if auxiliary.requires_grad:
            parts["train/reconstruction_loss"] = auxiliary
        parts["train/loss"] = loss
        values = actor.logs | {key: part.item() for key, part in parts.items()}
        self._check_update("the loss", values["train/loss"], f" (parts: {values})")
        if lesson is not None:
            values["expire/forgetting_kl"] = lesson.kl
            self._check_update("the divergence in the lesson in forgetting", lesson.kl)
        for key, value in values.items():
            logs.setdefault(key, []).append(value)
        return loss, actor.approx_kl, lesson

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
            self._rollout_spans.record(self.logger, [rule.max_span for rule in memory.rules])
