"""What if it had been forgotten: a step of an episode again, without one of the memories that it could read.

A memory of an earlier step is removed from all layers right before the step, as if it had been deleted; the policy then
reads the same observation. How far its action distribution and its value move is what the step owes to that memory.
Memories written later stay, and may hold a copy of what the removed one knew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from expirespan.agents import MemoryActorCriticPolicy, divergence, probabilities, rescaled
from expirespan.experiments.episodes.trace import EpisodeTrace, Floats, Ints
from expirespan.experiments.making.agents import Agent, memory_policy
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import MemoryState, Trace, TransformerState

MOST = 8
"""Memories that a recording removes at each step, one at a time: those read most."""
MOST_COMPONENTS = 64
"""A recording has probabilities of no action that has more of them; it has values and divergences all the same."""
WITHOUT_BYTES = 16_000_000
"""Probabilities without memories that take more, in an episode, are left out of a recording."""
AT_A_TIME = 64
"""Memories that `what_if` removes in one batch."""


@dataclass(frozen=True)
class WhatIf:
    """A step as it was, and without each of K memories.

    ``removed`` (K,): the steps at which these were written. ``probability`` (A,) and ``without`` (K, A): of every
    choice, side by side for the parts of a MultiDiscrete; of every bit to be 1; or the means of continuous actions.
    ``value`` and ``value_without`` (K,): the critic's. ``shift`` (K,): KL(with || without) in nats.
    """

    step: int
    removed: Ints
    probability: Floats
    without: Floats
    value: float
    value_without: Floats
    shift: Floats


def what_if(agent: Agent, trace: EpisodeTrace, step: int, removed: Sequence[int] | None = None) -> WhatIf:
    """The ``step`` of an episode without the memories of the steps ``removed``, one at a time.

    ``removed``: earlier steps whose memories this step could still read; by default all such steps. The agent, which
    must be the one that played, reads the recorded observations again up to ``step``.

    Raises:
        UserError: the trace has no observations, the memory has no single memories (LSTM, GRU), or a step is not in the
            episode, or its memory could not be read.
    """
    policy = memory_policy(agent)
    if not hasattr(policy.memory, "rules"):
        raise UserError(
            f"memory {policy.memory_name!r} holds one vector and no single memories, so none of them can be removed; "
            "use an agent with expire_span, adaptive_span, fixed_window or compressive"
        )
    if not 0 <= step < trace.steps:
        raise UserError(
            f"step={step}: expected a step of the episode, which has those from 0 to {trace.steps - 1}"
        )
    training = policy.training
    policy.set_training_mode(False)
    try:
        observation, state, start, masks = _replayed(policy, trace, step)
        there = _single_memories(policy, state, step)
        births = there if removed is None else [int(t) for t in removed]
        for t in births:
            if t not in there:
                raise UserError(
                    f"removed={t}: step {step} cannot read a memory of step {t}; those it can read are of steps "
                    f"{', '.join(map(str, there)) or '(none)'}"
                )
        first = _Variants.of(policy, observation, state, [], start, masks)
        parts = [
            _Variants.of(policy, observation, state, births[i : i + AT_A_TIME], start, masks)
            for i in range(0, len(births), AT_A_TIME)
        ]
    finally:
        policy.set_training_mode(training)
    A = first.numbers.shape[1]
    return WhatIf(
        step=step,
        removed=np.asarray(births, np.int32),
        probability=first.numbers[0],
        without=np.concatenate([np.zeros((0, A), np.float32), *(part.numbers[1:] for part in parts)]),
        value=float(first.values[0]),
        value_without=np.concatenate([np.zeros(0, np.float32), *(part.values[1:] for part in parts)]),
        shift=np.concatenate([np.zeros(0, np.float32), *(part.shift for part in parts)]),
    )


class Removals:
    """The same for every step of an episode while it is recorded: without each of the `MOST` memories read most."""

    def __init__(self, policy: MemoryActorCriticPolicy) -> None:
        self._policy, self._window = policy, _window(policy)
        self._single = hasattr(policy.memory, "rules")
        self._steps: list[_Variants] = []
        self._removed: list[list[int]] = []

    def add(
        self,
        observation: PyTorchObs,
        state: MemoryState,
        start: Tensor,
        masks: Tensor | None,
        trace: Trace,
        step: int,
    ) -> None:
        """A step of the only environment: what it is given, and with ``trace`` what it attended to."""
        births = self._read_most(trace, step)
        self._removed.append(births)
        self._steps.append(_Variants.of(self._policy, observation, state, births, start, masks))

    def _read_most(self, trace: Trace, step: int) -> list[int]:
        """The earlier steps whose own memories get most attention, mean over layers and heads; -1 where fewer."""
        if not self._single:
            return []
        attention: dict[int, float] = {}
        for weights, keys in zip(trace.attention or [], trace.keys or [], strict=True):
            given = weights[0, :, 0].mean(0).tolist()
            for birth, weight in zip(keys[0].tolist(), given, strict=True):
                if weight > 0 and max(0, step + 1 - self._window) <= birth < step:
                    attention[birth] = attention.get(birth, 0.0) + weight
        most = sorted(attention, key=lambda birth: (-attention[birth], birth))[:MOST]
        return most + [-1] * (MOST - len(most))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fields of the trace that these are."""
        numbers = np.stack([one.numbers for one in self._steps])
        found: dict[str, npt.NDArray[Any]] = {}
        few = numbers.shape[2] <= MOST_COMPONENTS
        if few:
            found["probability"] = numbers[:, 0]
        if not self._single:
            return found
        removed = np.asarray(self._removed, np.int32)
        absent = removed < 0
        without, value = numbers[:, 1:], np.stack([one.values[1:] for one in self._steps])
        if few and without.nbytes <= WITHOUT_BYTES:
            found["without"] = np.where(absent[..., None], np.float32(0), without)
        return found | {
            "removed": removed,
            "value_without": np.where(absent, np.float32(0), value),
            "shift": np.where(absent, np.float32(0), np.stack([one.shift for one in self._steps])),
        }


@dataclass(frozen=True)
class _Variants:
    """A step as it is and without each of K memories: ``numbers`` (1 + K, A), ``values`` (1 + K,), ``shift`` (K,)."""

    numbers: Floats
    values: Floats
    shift: Floats

    @classmethod
    def of(
        cls,
        policy: MemoryActorCriticPolicy,
        observation: PyTorchObs,
        state: MemoryState,
        births: Sequence[int],
        start: Tensor,
        masks: Tensor | None,
    ) -> _Variants:
        """All rows in one batched step of the policy."""
        kept, removed, values = policy.step_without(observation, state, births, start, masks)
        numbers = rescaled(policy, probabilities(removed).cpu().numpy())
        return cls(
            numbers.reshape(1 + len(births), -1).astype(np.float32),
            values[:, 0].cpu().numpy().astype(np.float32),
            divergence(kept, removed)[1:].clamp(min=0).cpu().numpy().astype(np.float32),
        )


def _window(policy: MemoryActorCriticPolicy) -> float:
    """Steps for which a state is a memory of its own, the present step included; then a summary takes its place."""
    ages = [
        rule.first_age(torch.tensor(rule.max_span)).item() for rule in getattr(policy.memory, "rules", [])
    ]
    return min((age for age in ages if age > 0), default=math.inf)


def _single_memories(policy: MemoryActorCriticPolicy, state: MemoryState, step: int) -> list[int]:
    """The earlier steps whose memories the next step can read in some layer, summaries not counted."""
    assert isinstance(state, TransformerState)
    births = {t for layer in state.layers for t in layer.birth_BS[0].tolist()}
    return sorted(t for t in births if max(0, step + 1 - _window(policy)) <= t < step)


def _replayed(
    policy: MemoryActorCriticPolicy, trace: EpisodeTrace, step: int
) -> tuple[PyTorchObs, MemoryState, Tensor, Tensor | None]:
    """What ``step`` is given: observation, memory, whether it is the first, masks; by acting through those before."""
    if not trace.observed:
        raise UserError(
            "the trace has no observations, which would take more than 16 MB; record a shorter episode, or read the "
            "trace's own `removed`, `without` and `shift`"
        )
    space, state = _recorded_space(policy, trace), policy.initial_state(1)
    for t in range(step + 1):
        seen: Any = trace.observation[t][None]
        if space is not None:
            seen = {name: np.asarray(part)[None] for name, part in spaces.unflatten(space, seen[0]).items()}
        observation = policy.obs_to_tensor(seen)[0]
        start = torch.tensor([t == 0], device=policy.device)
        masks = (
            torch.as_tensor(trace.allowed[t : t + 1], device=policy.device) if trace.allowed.size else None
        )
        if t < step:
            with torch.no_grad():
                state = policy.step(
                    observation, state, start, True, need_attention=True, action_masks=masks
                ).state
    return observation, state, start, masks


def _recorded_space(policy: MemoryActorCriticPolicy, trace: EpisodeTrace) -> spaces.Dict | None:
    """The space of Dict observations as the environment gave them: policies see images with their channels first."""
    space = policy.observation_space
    if not isinstance(space, spaces.Dict):
        return None
    shapes = trace.about.get("shapes") or {name: part.shape for name, part in space.items()}
    parts: list[tuple[str, spaces.Space[Any]]] = []
    for name, shape in shapes.items():
        part = space[name]
        if isinstance(part, spaces.Box):
            part = spaces.Box(part.low.min(), part.high.max(), tuple(shape), part.dtype.type)
        parts.append((name, part))
    return spaces.Dict(parts)
