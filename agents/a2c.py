"""MemoryA2C: advantage actor-critic over a memory policy."""

from __future__ import annotations

from typing import Any, Self

import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule

from expirespan.agents.base.keywords import refuses_others
from expirespan.agents.base.spaces import AnyEnv
from expirespan.agents.core.buffer import SegmentBatch
from expirespan.agents.forgetting.lesson import Forgetting
from expirespan.agents.forgetting.penalty import PenaltySchedule
from expirespan.agents.on_policy import MemoryOnPolicyAlgorithm
from expirespan.agents.update import PolicyLoss
from expirespan.parameters import (
    Discount,
    EntropyCoef,
    Epsilon,
    LearningRate,
    MaxGradNorm,
    NSteps,
    Number,
    PositiveEpsilon,
    Price,
    SampleFrequency,
    Seed,
    ValueCoef,
    Verbose,
)
from expirespan.ranges import checked


class MemoryA2C(MemoryOnPolicyAlgorithm):
    """A2C (Mnih et al. 2016, arXiv 1602.01783) whose policy reads its history through a memory.

    Arguments and defaults are those of SB3's `A2C`, with three more, described in `MemoryOnPolicyAlgorithm`.
    One gradient step per rollout, on segments of ``n_steps`` steps.

    Raises:
        ValueError: an argument is outside of its range, or policy, spaces and environment do not fit each other.
        TypeError: an argument is unknown; the message names the nearest.
    """

    @refuses_others
    @checked
    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: AnyEnv | str,
        learning_rate: LearningRate | Schedule = 7e-4,
        n_steps: NSteps = 5,
        gamma: Discount = 0.99,
        gae_lambda: Discount = 1.0,
        ent_coef: EntropyCoef = 0.0,
        vf_coef: ValueCoef = 0.5,
        max_grad_norm: MaxGradNorm = 0.5,
        rms_prop_eps: PositiveEpsilon = 1e-5,
        use_rms_prop: bool = True,
        use_sde: bool = False,
        sde_sample_freq: SampleFrequency = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        normalize_advantage: bool = False,
        stats_window_size: Number = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: Verbose = 0,
        seed: Seed | None = None,
        device: th.device | str = "auto",
        span_penalty: Price | PenaltySchedule = 0.0,
        forgetting: Forgetting | None = None,
        min_advantage_std: Epsilon = 1e-8,
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=None,
            n_epochs=1,
            gamma=gamma,
            gae_lambda=gae_lambda,
            normalize_advantage=normalize_advantage,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            rollout_buffer_class=rollout_buffer_class,
            rollout_buffer_kwargs=rollout_buffer_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            span_penalty=span_penalty,
            forgetting=forgetting,
            min_advantage_std=min_advantage_std,
            _init_setup_model=False,
        )
        self.use_rms_prop, self.rms_prop_eps = use_rms_prop, rms_prop_eps
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        given = self.policy_kwargs
        if self.use_rms_prop and "optimizer_class" not in given:
            settings = {"alpha": 0.99, "eps": self.rms_prop_eps, "weight_decay": 0}
            self.policy_kwargs = given | {"optimizer_class": th.optim.RMSprop, "optimizer_kwargs": settings}
        super()._setup_model()
        self.policy_kwargs = given  # as given, for a file that is loaded

    def policy_loss(self, log_prob: th.Tensor, batch: SegmentBatch, advantages: th.Tensor) -> PolicyLoss:
        """Policy gradient -A log pi, a scalar: mean over the steps (n, T) of the minibatch."""
        loss = -(advantages * log_prob).mean()
        return PolicyLoss(loss, {"train/policy_loss": loss})

    @refuses_others
    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 100,
        tb_log_name: str = "A2C",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for ``total_timesteps`` steps, rounded up to whole rollouts, as SB3 does."""
        return super().learn(
            total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
        )
