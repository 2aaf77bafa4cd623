"""The interface of every memory: its inputs, its outputs, and the state that is carried along.

Tensor letters: B batch (environments), T new steps, S remembered steps, K = S + T keys, D width, H heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from expirespan.memory.rules.rule import LONGEST


class MemoryState(ABC):
    """Everything a memory carries from one step to the next, one row per environment.

    States are values: no method of a memory changes the state it is given, so that one state may be
    continued in several ways (acting, bootstrapping, learning).
    """

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Number of environments."""

    @abstractmethod
    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor; all have the shape (B, ...), the environments as first axis."""

    @classmethod
    @abstractmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join states along the environments."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """Tensors (B, ...) by name, for saving."""

    @classmethod
    @abstractmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of :meth:`state_dict`: a state of B environments from tensors (B, ...)."""

    def __getitem__(self, envs: Tensor | Sequence[int] | slice) -> Self:
        """State of the chosen environments (indices, mask or slice), in that order."""
        return self.map(lambda tensor: tensor[near(envs, tensor)])

    def to(self, device: torch.device | str) -> Self:
        """Copy on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def detach(self) -> Self:
        """Same values, cut from the graph of the steps that made them."""
        return self.map(lambda tensor: tensor.detach())

    def without_cache(self) -> Self:
        """Same memories with less to store: only what learning needs, without what acting can recompute."""
        return self


def near(index: Any, tensor: Tensor) -> Any:
    """Index (tensor, list or slice) on the device of the tensor to pick from; the host does not wait for the copy."""
    if not isinstance(index, Tensor):
        return index
    return index.to(tensor.device, non_blocking=tensor.device.type != "cpu")


StateT = TypeVar("StateT", bound=MemoryState)


@dataclass(frozen=True)
class Trace:
    """What a memory did at each step, for people and loggers. Empty lists where a memory has no spans.

    One entry per layer. ``spans`` (B, T): life in steps given to the state written at each step.
    ``alive`` (B, T): memories that the query of each step could read, itself included.
    ``births`` (B, S): for the memories that survive the last step, the timestep in the episode at which
    each was written; -1 where a row has fewer. ``attention`` (B, H, T, K): weights, oldest key first; only
    when asked for. ``keys`` (B, K): from a `Memory.step`, with attention: the timestep in the episode at which each
    key was written, -1 where there is none. A summary has the timestep of the oldest state it stands for.
    """

    spans: list[Tensor]
    alive: list[Tensor]
    births: list[Tensor]
    attention: list[Tensor] | None = None
    keys: list[Tensor] | None = None

    def told_spans(self) -> list[Tensor]:
        """``spans`` (B, T) of each layer for people: infinite where there is no limit, computed with as `LONGEST`."""
        return [span.masked_fill(span >= LONGEST, torch.inf) for span in self.spans]


class Reading(NamedTuple):
    """What a layer's span predictor read in one pass and what it answered, for whoever teaches spans.

    ``states_BKD``: its inputs. ``span_BK``: spans in steps, with their graph. ``present_BK``: where there is a memory;
    the other columns only fill rows up.
    """

    states_BKD: Tensor
    span_BK: Tensor
    present_BK: Tensor


@dataclass(frozen=True)
class MemoryOutput(Generic[StateT]):
    """Result of :meth:`Memory.step` and :meth:`Memory.unroll`.

    ``y``: (B, D) or (B, T, D). ``penalty``: (layers,) span penalty of each layer in steps, not yet multiplied
    by its coefficient; of length 0 for memories without spans. ``auxiliary``: (layers,) losses that train parts of the
    memory, with gradient to these parts alone: add their sum to the loss as it is. Length 0, or zeros, where there
    are none. ``readings``: of each layer, one for each group of rows that ran together; only from an ``unroll``.
    """

    y: Tensor
    state: StateT
    penalty: Tensor
    trace: Trace
    auxiliary: Tensor = field(default_factory=lambda: torch.zeros(0))
    readings: list[list[Reading]] = field(default_factory=list)


class Memory(nn.Module, Generic[StateT], ABC):
    """Reads a stream of vectors and answers each with what it remembers of those before.

    ``width`` is the size D of the vectors in and out.
    """

    width: int

    @abstractmethod
    def initial_state(self, batch_size: int) -> StateT:
        """State that remembers nothing."""

    @abstractmethod
    def step(
        self, x_BD: Tensor, state: StateT, episode_start_B: Tensor, need_attention: bool = False
    ) -> MemoryOutput[StateT]:
        """Acting: one step for every environment, without gradient, on cached keys and values.

        ``episode_start_B`` (bool): the environment begins a new episode with this input; all it remembered
        is forgotten before the input is read. ``need_attention``: return the attention weights, which are otherwise
        never formed.
        """

    @abstractmethod
    def unroll(
        self,
        x_BTD: Tensor,
        state: StateT,
        episode_start_BT: Tensor,
        need_attention: bool = False,
        need_state: bool = True,
    ) -> MemoryOutput[StateT]:
        """Learning: T steps in one parallel pass, with gradient to the inputs, weights and ``state``.

        Equals T calls of :meth:`step` under the same weights. ``need_state``: return the state after the block. Without
        it a memory may save work: the state returned means nothing, and the trace has spans alone.
        """

    def refresh(self, state: StateT) -> StateT:
        """Recompute under the present weights whatever of ``state`` depends on them.

        Call after each update of the weights, before acting on.
        """
        return state

    def check_input(self, x: Tensor, state: StateT, episode_start: Tensor, axes: int) -> None:
        """Check that shapes fit: (B, D) and (B,) for a step, of 2 ``axes``; (B, T, D) and (B, T) for an unroll.

        Raises:
            ValueError: they do not.
        """
        if x.dim() != axes or 0 in x.shape:
            raise ValueError(
                f"inputs must have shape {'(B, D) with B >= 1' if axes == 2 else '(B, T, D) with B, T >= 1'}, "
                f"got {tuple(x.shape)}; step takes one input per environment, unroll a block of them"
            )
        if x.shape[-1] != self.width:
            raise ValueError(
                f"the memory reads vectors of width {self.width}, got shape {tuple(x.shape)}; "
                "pass inputs whose last axis has that size"
            )
        if episode_start.shape != x.shape[:-1]:
            raise ValueError(
                f"episode_start must have shape {tuple(x.shape[:-1])}, one flag per input vector, "
                f"got {tuple(episode_start.shape)}"
            )
        if state.batch_size != x.shape[0]:
            raise ValueError(
                f"the state holds {state.batch_size} environments and the input {x.shape[0]}; "
                "start from initial_state(batch_size) or index the state by environment"
            )
