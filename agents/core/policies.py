"""Actor-critic policies that read their observation history through a memory.

observation -> features extractor (SB3) -> encoder -> memory -> MLP heads (SB3) -> action distribution, value.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import nn

from expirespan.agents.base.checks import check_state, signature
from expirespan.agents.base.spaces import from_zero
from expirespan.agents.core.buffer import Observation
from expirespan.agents.core.calls import SB3Calls
from expirespan.agents.core.distributions import drawn
from expirespan.agents.core.masks import masked
from expirespan.agents.core.optimizers import make_optimizer
from expirespan.agents.core.steps import (
    MemoryEvaluation,
    PolicyStep,
    Variants,
    as_taken,
    flatten_steps,
    full_precision,
    unchecked,
)
from expirespan.agents.workers import Part
from expirespan.memory import (
    MemoryOutput,
    MemoryState,
    Rule,
    TransformerMemory,
    TransformerState,
    make_memory,
)
from expirespan.memory.registry import memory_class
from expirespan.parameters import Multiple
from expirespan.ranges import check_values

DEFAULTS: dict[str, dict[str, Any]] = {
    "expire_span": {"max_span": 256},
    "adaptive_span": {"max_span": 256},
    "fixed_window": {"window": 256},
}
"""Arguments that ``memory_kwargs`` may leave out, by memory."""
OUTPUT_SCALE = 0.01
"""Size at which each of a Transformer's outputs begins, beside the encoding that the heads read as well."""
ENCODER_GAIN = 3.0
"""Length of the encoder's orthogonal columns: larger than SB3's, for the encoding passes through one layer more."""


class MemoryActorCriticPolicy(SB3Calls):
    """SB3's actor-critic policy with a memory between features and heads.

    ``memory``: a name of ``expirespan.memory.MEMORIES``; ``memory_kwargs``: its arguments (``width`` defaults to 64,
    the rest to `DEFAULTS`). ``predictor_lr``: learning rate of the span predictors as a multiple of the rest's.
    The heads read the sum of what the memory reads and what it answers, and SB3's ``ortho_init`` includes the encoder.
    A Transformer's answer is small at first (``memory_kwargs["output_scale"]``, `OUTPUT_SCALE`): so the policy begins
    as one of SB3's on the present observation and tolerates the same step sizes. All other arguments are SB3's.
    With ``share_features_extractor=False`` the memory reads both extractors' features side by side. Wherever SB3's
    methods take an observation, these also take ``state`` and ``episode_start``; without a state they answer as at the
    start of an episode.

    Raises:
        ValueError: an argument is outside of its range; TypeError: ``memory_kwargs`` do not fit the memory.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *args: Any,
        memory: str = "expire_span",
        memory_kwargs: dict[str, Any] | None = None,
        predictor_lr: Multiple = 1.0,
        **kwargs: Any,
    ) -> None:
        self.memory_name = memory
        self.memory_kwargs = dict(memory_kwargs or {})
        self.predictor_lr = predictor_lr
        check_values({"predictor_lr": Multiple}, {"predictor_lr": predictor_lr})
        super().__init__(observation_space, action_space, lr_schedule, *args, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        names = ("memory_kwargs", "predictor_lr")
        return data | {"memory": self.memory_name} | {name: getattr(self, name) for name in names}

    def _build_mlp_extractor(self) -> None:
        """Create encoder, memory and heads (called by SB3's ``_build``)."""
        defaults = DEFAULTS.get(self.memory_name, {})
        if issubclass(memory_class(self.memory_name), Rule):
            defaults = defaults | {"output_scale": OUTPUT_SCALE}
        given = {"width": 64} | defaults | self.memory_kwargs
        try:
            self.memory = make_memory(self.memory_name, **given)
        except TypeError as error:
            raise TypeError(
                f"memory_kwargs={self.memory_kwargs} do not fit memory {self.memory_name!r}: {error}"
            ) from error
        self._state_signature = signature(self.memory.initial_state(1))
        features = self.features_dim * (1 if self.share_features_extractor else 2)
        self.encoder = nn.Linear(features, self.memory.width)
        if self.ortho_init:
            self.init_weights(self.encoder, gain=ENCODER_GAIN)
            # of length 1, for without it the memory's norms would take the size out of all that it reads
            nn.init.normal_(self.encoder.bias, std=self.memory.width**-0.5)
        self.mlp_extractor = MlpExtractor(
            self.memory.width, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        predictors = [p for rule in getattr(self.memory, "rules", []) for p in rule.span_parameters()]
        self.optimizer = make_optimizer(
            self.optimizer_class,
            self.optimizer_kwargs,
            list(self.parameters()),
            lr_schedule(1),
            predictors,
            self.predictor_lr,
        )

    def initial_state(self, n_envs: int) -> MemoryState:
        """Memory of ``n_envs`` environments that have seen nothing."""
        state: MemoryState = self.memory.initial_state(n_envs)
        return state

    def _encode(self, obs: PyTorchObs) -> th.Tensor:
        features = self.extract_features(from_zero(obs, self.observation_space))
        if isinstance(features, tuple):
            features = th.cat(features, -1)
        encoded: th.Tensor = self.encoder(features)
        return encoded

    def _for_memory(self, x: th.Tensor) -> th.Tensor:
        """What the memory reads of the encoding: all of it."""
        return x

    def _for_heads(self, x: th.Tensor, y: th.Tensor) -> th.Tensor:
        """What the heads read of the encoding and the memory's answer: their sum."""
        return x + y

    def _given(
        self, x: th.Tensor, state: MemoryState | None, episode_start: th.Tensor | None
    ) -> tuple[MemoryState, th.Tensor]:
        """State and flags, with defaults filled in."""
        state = (
            self.initial_state(len(x)) if state is None else check_state(state, self._state_signature, len(x))
        )
        if episode_start is None:
            episode_start = th.zeros(x.shape[:-1], dtype=th.bool, device=x.device)
        return state, episode_start

    def distribution(self, y: th.Tensor) -> Distribution:
        """Action distribution for memory outputs (n, D), in 32 bits or more."""
        with full_precision(y) as y:
            latent_pi = self.mlp_extractor.forward_actor(y)
            # SB3 refills one distribution object for ever; a copy outlives the next call
            return unchecked(lambda: copy.copy(self._get_action_dist_from_latent(latent_pi)))

    def values(self, y: th.Tensor) -> th.Tensor:
        """Values (n, 1) for memory outputs (n, D), in 32 bits or more."""
        with full_precision(y) as y:
            values: th.Tensor = self.value_net(self.mlp_extractor.forward_critic(y))
        return values

    def heads(self, y: th.Tensor) -> tuple[Distribution, th.Tensor]:
        """Action distribution and values (n, 1) for memory outputs (n, D)."""
        return self.distribution(y), self.values(y)

    def _read(
        self,
        obs: PyTorchObs,
        state: MemoryState | None,
        episode_start: th.Tensor | None,
        need_attention: bool = False,
    ) -> MemoryOutput[Any]:
        """One step, ``y`` as the heads read it; with gradient where it is enabled (then a block of length one)."""
        x = self._encode(obs)
        state, episode_start = self._given(x, state, episode_start)
        read = self._for_memory(x)
        if not th.is_grad_enabled():
            out = self.memory.step(read, state, episode_start, need_attention)
            return replace(out, y=self._for_heads(x, out.y))
        out = self.memory.unroll(read[:, None], state, episode_start[:, None])
        return replace(out, y=self._for_heads(x, out.y[:, 0]))

    def step(
        self,
        obs: PyTorchObs,
        state: MemoryState | None = None,
        episode_start: th.Tensor | None = None,
        deterministic: bool = False,
        need_attention: bool = False,
        action_masks: th.Tensor | None = None,
        part: Part | None = None,
    ) -> PolicyStep:
        """Act once in every environment. ``episode_start`` (N,) bool; ``action_masks`` (N, W) bool, see `masks.py`.

        ``need_attention``: the trace holds the attention weights; only where gradient is disabled. ``part``: which of
        the environments of all workers these are, see `drawn`.
        """
        out = self._read(obs, state, episode_start, need_attention)
        distribution, values = self.heads(out.y)
        distribution = masked(distribution, action_masks)
        actions = drawn(distribution, deterministic, part)
        log_prob = distribution.log_prob(actions)
        actions = actions.reshape((-1, *self.action_space.shape))  # type: ignore[misc]
        return PolicyStep(actions, values, log_prob, out.state, out.trace)

    def step_without(
        self,
        obs: PyTorchObs,
        state: MemoryState,
        births: Sequence[int],
        episode_start: th.Tensor | None = None,
        action_masks: th.Tensor | None = None,
    ) -> Variants:
        """One step in one environment as it is, and again after the removal of each of K memories; without gradient.

        ``births`` (K,): the steps of the episode whose memories are removed, one at a time, from all layers
        (`expirespan.memory.forget`); -1 removes nothing. ``obs``, ``state``, ``episode_start``, ``action_masks`` have
        one row.

        Raises:
            ValueError: ``births`` names a step, and the memory has no single memories (LSTM, GRU).
        """
        rows = 1 + len(births)
        with th.no_grad():
            x = self._encode(obs)
            state, episode_start = self._given(x, state, episode_start)
            if any(step >= 0 for step in births):
                if not (isinstance(self.memory, TransformerMemory) and isinstance(state, TransformerState)):
                    raise ValueError(
                        f"memory {self.memory_name!r} holds one vector and no single memories, so none of them can be "
                        "removed; use expire_span, adaptive_span, fixed_window or compressive"
                    )
                read = self.memory.step_without(self._for_memory(x), state, episode_start, [-1, *births])
            else:
                read = self.memory.step(self._for_memory(x), state, episode_start).y
            y = self._for_heads(x.expand(len(read), -1), read).expand(rows, -1)
            masks = None if action_masks is None else action_masks.expand(rows, -1)
            kept = masked(self.distribution(y[:1].expand(rows, -1)), masks)
            distribution, values = self.heads(y)
            return Variants(kept, masked(distribution, masks), values)

    def unroll(
        self,
        obs: Observation,
        actions: th.Tensor,
        state: MemoryState,
        episode_start: th.Tensor,
        action_masks: th.Tensor | None = None,
    ) -> MemoryEvaluation:
        """Re-read segments (n, T, ...) in one pass. ``actions`` (n, T, action_dim), as in the buffer.

        ``episode_start`` (n, T) bool; ``action_masks`` (n T, W) bool.
        """
        n, T = episode_start.shape
        x = self._encode(flatten_steps(obs)).unflatten(0, (n, T))
        out = self.memory.unroll(self._for_memory(x), state, episode_start, need_state=False)
        out = replace(out, y=self._for_heads(x, out.y))
        distribution, values = self.heads(out.y.flatten(0, 1))
        distribution = masked(distribution, action_masks)
        entropy = distribution.entropy()
        return MemoryEvaluation(
            values=values.view(n, T),
            log_prob=distribution.log_prob(as_taken(actions, self.action_space)).view(n, T),
            entropy=None if entropy is None else entropy.view(n, T),
            penalty=out.penalty,
            auxiliary=out.auxiliary,
            distribution=distribution,
            memory=out,
        )


def has_memory(policy_class: type[BasePolicy]) -> bool:
    """Whether policies of that class read their history."""
    return issubclass(policy_class, MemoryActorCriticPolicy)
