"""SB3's methods of a policy, for one that reads its history: each also takes a state and masks of actions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.type_aliases import PyTorchObs

from expirespan.agents.base.checks import check_episode_start, check_observation
from expirespan.agents.base.keywords import refuses_others
from expirespan.agents.checkpoint import CheckpointedPolicy
from expirespan.agents.core.masks import as_tensor as masks_as_tensor
from expirespan.agents.core.masks import masked
from expirespan.agents.core.steps import PolicyStep, check_probability, rows_of, to_env
from expirespan.memory import MemoryOutput, MemoryState

NO_STATE = (
    "predict() was told that an episode goes on (episode_start is False) and was given no state, so its memory is "
    "empty; pass the state that it returned before. The evaluate_policy and MaskableEvalCallback of sb3-contrib never "
    "do: use evaluate_policy and MemoryEvalCallback of expirespan.agents"
)


class SB3Calls(CheckpointedPolicy):
    """One step per environment, by `step`, `heads` and `distribution` of a subclass.

    Without a state all answer as at the start of an episode; without masks every action is allowed.
    """

    def step(self, *args: Any, **kwargs: Any) -> PolicyStep:
        """Act once in every environment."""
        raise NotImplementedError

    def heads(self, y: th.Tensor) -> tuple[Distribution, th.Tensor]:
        """Action distribution and values (n, 1) for memory outputs (n, D)."""
        raise NotImplementedError

    def distribution(self, y: th.Tensor) -> Distribution:
        """Action distribution for memory outputs (n, D)."""
        raise NotImplementedError

    def values(self, y: th.Tensor) -> th.Tensor:
        """Values (n, 1) for memory outputs (n, D)."""
        raise NotImplementedError

    def _read(
        self, obs: PyTorchObs, state: MemoryState | None, episode_start: th.Tensor | None
    ) -> MemoryOutput[Any]:
        raise NotImplementedError

    @refuses_others
    def forward(
        self,
        obs: PyTorchObs,
        deterministic: bool = False,
        state: MemoryState | None = None,
        episode_start: th.Tensor | None = None,
        action_masks: th.Tensor | None = None,
    ) -> tuple[Any, ...]:
        """Actions, values and log-probabilities as in SB3; given a ``state``, the new one as fourth."""
        out = self.step(obs, state, episode_start, deterministic, action_masks=action_masks)
        return out[:3] if state is None else out[:4]

    @refuses_others
    def evaluate_actions(
        self,
        obs: PyTorchObs,
        actions: th.Tensor,
        state: MemoryState | None = None,
        episode_start: th.Tensor | None = None,
        action_masks: th.Tensor | None = None,
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Values (N, 1), log-probabilities and entropy (N,) of one step per environment."""
        distribution, values = self.heads(self._read(obs, state, episode_start).y)
        distribution = masked(distribution, action_masks)
        return values, distribution.log_prob(actions), distribution.entropy()

    @refuses_others
    def get_distribution(
        self,
        obs: PyTorchObs,
        state: MemoryState | None = None,
        episode_start: th.Tensor | None = None,
        action_masks: th.Tensor | None = None,
    ) -> Distribution:
        """Action distribution."""
        return masked(self.distribution(self._read(obs, state, episode_start).y), action_masks)

    @refuses_others
    def predict_values(
        self, obs: PyTorchObs, state: MemoryState | None = None, episode_start: th.Tensor | None = None
    ) -> th.Tensor:
        """Values (N, 1)."""
        return self.values(self._read(obs, state, episode_start).y)

    @refuses_others
    def predict(  # type: ignore[override]
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: MemoryState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, MemoryState]:
        """Action and next memory state, as in SB3's recurrent policies.

        ``state``: what the previous call returned, None to begin with an empty memory; its size follows the
        batch of observations. ``episode_start`` (n,): True where the observation is the first of an episode.
        ``action_masks`` (n, W): what is allowed, see `masks.py`.
        """
        if self.training:
            self.set_training_mode(False)
        check_observation(observation)
        obs, vectorized = self.obs_to_tensor(observation)
        rows = rows_of(obs)
        starts = masks = None
        if episode_start is not None:
            flags = check_episode_start(episode_start, rows)
            if state is None and not flags.all():
                warnings.warn(NO_STATE, stacklevel=4)
            starts = th.as_tensor(flags, device=self.device)
        if action_masks is not None:
            masks = masks_as_tensor(action_masks, self.action_space, rows, self.device)
        with th.no_grad():
            out = self._read(obs, state, starts)
            distribution = masked(self.distribution(out.y), masks)
            taken = distribution.get_actions(deterministic=deterministic)
            check_probability(distribution.log_prob(taken))
        actions = self.to_env(taken.cpu().numpy())
        return (actions if vectorized else actions.squeeze(axis=0)), out.state

    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """As the function `to_env`."""
        return to_env(self, actions)
