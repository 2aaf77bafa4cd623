"""Policies and rollout buffers without a memory, under the interface of those with one.

With them `MemoryPPO` and `MemoryA2C` do what PPO and A2C do: a policy class of Stable-Baselines3, or one derived
from it, is trained on single steps; a rollout buffer class has its say about advantages and returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy

from expirespan.agents.core.buffer import MemoryRolloutBuffer, Observation
from expirespan.agents.core.masks import as_tensor as masks_as_tensor
from expirespan.agents.core.masks import masked
from expirespan.agents.core.steps import Evaluation, PolicyStep, as_taken, flatten_steps, rows_of, to_env
from expirespan.agents.workers import Part
from expirespan.memory import MemoryState, Trace


@dataclass(frozen=True)
class NoState(MemoryState):
    """Nothing remembered: ``rows`` (B, 0)."""

    rows: th.Tensor

    @property
    def batch_size(self) -> int:
        """Number of environments."""
        return len(self.rows)

    def map(self, fn: Callable[[th.Tensor], th.Tensor]) -> Self:
        """Apply ``fn`` to the empty tensor."""
        return type(self)(fn(self.rows))

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(th.cat([state.rows for state in states]))

    def state_dict(self) -> dict[str, th.Tensor]:
        """For saving."""
        return {"rows": self.rows}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, th.Tensor]) -> Self:
        """Inverse of `state_dict`."""
        return cls(tensors["rows"])


@dataclass(frozen=True)
class Memoryless:
    """A policy without memory, with those methods of `MemoryActorCriticPolicy` by which agents learn."""

    policy: ActorCriticPolicy
    memory: None = None

    def initial_state(self, n_envs: int) -> NoState:
        """Nothing."""
        return NoState(th.zeros(n_envs, 0))

    def step(
        self,
        obs: Any,
        state: MemoryState,
        episode_start: th.Tensor,
        deterministic: bool = False,
        action_masks: th.Tensor | None = None,
        part: Part | None = None,
    ) -> PolicyStep:
        """Act once in every environment, through the policy's own ``forward``, or its distribution where masked."""
        if action_masks is None:
            actions, values, log_prob = self.policy(obs, deterministic=deterministic)
        else:
            distribution = masked(self.policy.get_distribution(obs), action_masks)
            actions, values = distribution.get_actions(deterministic), self.policy.predict_values(obs)
            log_prob = distribution.log_prob(actions)
        return PolicyStep(actions, values, log_prob, state, Trace([], [], []))

    def predict(
        self, observation: Any, deterministic: bool, action_masks: np.ndarray
    ) -> np.ndarray[Any, Any]:
        """Actions as the policy's own `predict` gives them, of those that ``action_masks`` (n, W) allows.

        Raises:
            ValueError: masks of another shape.
        """
        self.policy.set_training_mode(False)
        obs, vectorized = self.policy.obs_to_tensor(observation)
        rows = rows_of(obs)
        masks = masks_as_tensor(action_masks, self.policy.action_space, rows, self.policy.device)
        none = self.initial_state(rows), th.zeros(rows, dtype=th.bool)
        with th.no_grad():
            taken = self.step(obs, *none, deterministic, masks).actions
        actions = to_env(self.policy, taken.cpu().numpy())
        return actions if vectorized else actions.squeeze(axis=0)

    def unroll(
        self,
        obs: Observation,
        actions: th.Tensor,
        state: MemoryState,
        episode_start: th.Tensor,
        action_masks: th.Tensor | None = None,
    ) -> Evaluation:
        """Read segments (n, T, ...) step by step, by ``evaluate_actions``, or by the distribution where masked."""
        shape, flat, taken = (
            episode_start.shape,
            flatten_steps(obs),
            as_taken(actions, self.policy.action_space),
        )
        values, log_prob, entropy = self._evaluate(flat, taken, action_masks)
        return Evaluation(
            values=values.view(shape),
            log_prob=log_prob.view(shape),
            entropy=None if entropy is None else entropy.view(shape),
            penalty=th.zeros(0, device=values.device),
            auxiliary=th.zeros(0, device=values.device),
        )

    def _evaluate(
        self, obs: Any, actions: th.Tensor, action_masks: th.Tensor | None
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        if action_masks is None:
            return self.policy.evaluate_actions(obs, actions)
        distribution = masked(self.policy.get_distribution(obs), action_masks)
        return self.policy.predict_values(obs), distribution.log_prob(actions), distribution.entropy()

    def predict_values(
        self, obs: Any, state: MemoryState, episode_start: th.Tensor | None = None
    ) -> th.Tensor:
        """Values (N, 1)."""
        return self.policy.predict_values(obs)


class MirroredRolloutBuffer(MemoryRolloutBuffer):
    """Also fills ``mirror``, a buffer of SB3's kind, and takes over the advantages and returns it computes."""

    def __init__(self, *args: Any, mirror: RolloutBuffer, **kwargs: Any) -> None:
        self.mirror = mirror
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Empty both."""
        super().reset()
        self.mirror.reset()

    def add(  # type: ignore[override]
        self,
        obs: Observation,
        action: th.Tensor,
        reward: np.ndarray,
        episode_start: th.Tensor,
        value: th.Tensor,
        log_prob: th.Tensor,
        action_masks: th.Tensor | None = None,
    ) -> None:
        """Store one step of every environment in both."""
        super().add(obs, action, reward, episode_start, value, log_prob, action_masks)
        seen: Any = (
            {k: v.cpu().numpy() for k, v in obs.items()} if isinstance(obs, dict) else obs.cpu().numpy()
        )
        taken = action.cpu().numpy().reshape(self.n_envs, self.action_dim)
        self.mirror.add(seen, taken, reward, episode_start.cpu().numpy(), value, log_prob)

    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: np.ndarray) -> None:
        """As ``mirror`` does."""
        self.mirror.compute_returns_and_advantage(last_values, dones)
        for name, array in (("advantage", self.mirror.advantages), ("return", self.mirror.returns)):
            self.data[name] = th.as_tensor(array, dtype=th.float32, device=self.device).T.contiguous()
