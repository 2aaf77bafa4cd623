"""MemoryPPO: proximal policy optimisation over a memory policy."""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch.nn import functional as F

from expirespan.agents.base.keywords import refuses_others
from expirespan.agents.base.spaces import AnyEnv
from expirespan.agents.core.buffer import SegmentBatch, minibatch_sizes
from expirespan.agents.forgetting.lesson import Forgetting
from expirespan.agents.forgetting.penalty import PenaltySchedule
from expirespan.agents.on_policy import MemoryOnPolicyAlgorithm
from expirespan.agents.update import PolicyLoss
from expirespan.parameters import (
    BatchSize,
    ClipRange,
    Discount,
    EntropyCoef,
    Epochs,
    Epsilon,
    LearningRate,
    MaxGradNorm,
    NSteps,
    Number,
    Price,
    SampleFrequency,
    Seed,
    TargetKL,
    ValueClip,
    ValueCoef,
    Verbose,
)
from expirespan.ranges import checked


class MemoryPPO(MemoryOnPolicyAlgorithm):
    """PPO (Schulman et al. 2017, arXiv 1707.06347) whose policy reads its history through a memory.

    Arguments and defaults are those of SB3's `PPO`, with three more, described in `MemoryOnPolicyAlgorithm`:
    ``span_penalty``, ``forgetting``, ``min_advantage_std``. Choose the memory by
    ``policy_kwargs=dict(memory="expire_span", memory_kwargs=dict(...))``.

    ``batch_size`` counts steps, as in SB3. A minibatch consists of segments of min(n_steps, batch_size)
    consecutive steps; gradient flows to everything written within a segment, and to keys, values and spans of
    what came before.

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
        learning_rate: LearningRate | Schedule = 3e-4,
        n_steps: NSteps = 2048,
        batch_size: BatchSize = 64,
        n_epochs: Epochs = 10,
        gamma: Discount = 0.99,
        gae_lambda: Discount = 0.95,
        clip_range: ClipRange | Schedule = 0.2,
        clip_range_vf: ValueClip | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: EntropyCoef = 0.0,
        vf_coef: ValueCoef = 0.5,
        max_grad_norm: MaxGradNorm = 0.5,
        use_sde: bool = False,
        sde_sample_freq: SampleFrequency = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: TargetKL | None = None,
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
            batch_size=batch_size,
            n_epochs=n_epochs,
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
            target_kl=target_kl,
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
        self.clip_range, self.clip_range_vf = clip_range, clip_range_vf
        self._check_batch_size()
        if _init_setup_model:
            self._setup_model()

    def _check_batch_size(self) -> None:
        assert self.batch_size is not None
        assert self.batch_size > 1 or not self.normalize_advantage, (
            f"batch_size={self.batch_size}: advantages are normalised within a minibatch, which takes at "
            "least 2 steps; choose a larger batch_size or normalize_advantage=False"
        )
        if self.env is None:
            return
        assert self.n_steps * self.all_envs > 1 or not self.normalize_advantage, (
            f"n_steps={self.n_steps} and n_envs={self.all_envs}: advantages are normalised, which takes a "
            "rollout of at least 2 steps; choose a larger n_steps or normalize_advantage=False"
        )
        sizes = minibatch_sizes(self.n_steps, self.all_envs, self._segment_length(), self.batch_size)
        if min(sizes) < max(sizes):
            warnings.warn(
                f"batch_size={self.batch_size} divides a rollout of n_steps={self.n_steps} in "
                f"n_envs={self.all_envs} unequally: beside minibatches of {max(sizes)} steps there will be a "
                f"truncated mini-batch of size {min(sizes)}. Choose a batch_size that divides n_steps, or "
                "n_steps times a divisor of n_envs",
                stacklevel=4,
            )

    def _setup_model(self) -> None:
        super()._setup_model()
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            if isinstance(self.clip_range_vf, (float, int)):
                assert self.clip_range_vf > 0, (
                    f"clip_range_vf={self.clip_range_vf}: expected a number > 0, or None not to clip values"
                )
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)

    def _clip(self, schedule: Any) -> float:
        return float(schedule(self._current_progress_remaining))

    def policy_loss(self, log_prob: th.Tensor, batch: SegmentBatch, advantages: th.Tensor) -> PolicyLoss:
        """Clipped surrogate (scalar): mean over steps (n, T); the ratio is 1 on the first minibatch of a rollout."""
        clip = self._clip(self.clip_range)
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        loss = -th.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip)).mean()
        with th.no_grad():
            approx_kl = (ratio - 1 - log_ratio).mean()
            clipped = ((ratio - 1).abs() > clip).float().mean()
        logs = {
            "train/policy_gradient_loss": loss,
            "train/approx_kl": approx_kl,
            "train/clip_fraction": clipped,
        }
        return PolicyLoss(loss, logs)

    def value_loss(self, values: th.Tensor, batch: SegmentBatch) -> th.Tensor:
        """Mean squared error (scalar) of values (n, T), clipped around the old ones if ``clip_range_vf`` is set."""
        if self.clip_range_vf is not None:
            clip = self._clip(self.clip_range_vf)
            values = batch.old_values + (values - batch.old_values).clamp(-clip, clip)
        return F.mse_loss(values, batch.returns)

    def train(self) -> None:
        """As the base class; also logs the clip ranges."""
        super().train()
        self.logger.record("train/clip_range", self._clip(self.clip_range))
        if self.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", self._clip(self.clip_range_vf))

    @refuses_others
    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "PPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for ``total_timesteps`` steps, rounded up to whole rollouts, as SB3 does."""
        return super().learn(
            total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
        )
