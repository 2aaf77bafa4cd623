"""Base class of rules for forgetting: how long each memory lives, how it fades at the end, what remains of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


def require(ok: bool, name: str, value: object, expected: str) -> None:
    """Raise a ValueError that names the argument, the value given and what is expected."""
    if not ok:
        raise ValueError(f"{name} must be {expected}, got {value!r}")


class Columns(NamedTuple):
    """Memories side by side, K for each environment, as seen from a block of steps.

    ``h_BKD``: states. ``place_BK``: the step each was written at, counted from the start of the block; negative for
    those from before it. ``episode_BK``: 0 for the episode under way before the block, then 1, 2, ...; -1 where there
    is no memory. ``span_BK``: spans in steps.
    """

    h_BKD: Tensor
    place_BK: Tensor
    episode_BK: Tensor
    span_BK: Tensor


class Summaries(NamedTuple):
    """Memories made of others, and ``states_BGcD``, the c states that each of them stands for, oldest first.

    The place of a summary is that of its oldest state.
    """

    columns: Columns
    states_BGcD: Tensor


FAR = 2**40
"""Age, in steps, of what a query cannot see: a memory from another episode, a later step, a slot without a memory."""
LONGEST = 2.0**31
"""Longest span that is told apart from an infinite one, in steps."""

KeysValues = tuple[Tensor, Tensor]
"""Keys and values (B, H, K, d)."""


class Rule(nn.Module, ABC):
    """One layer's rule for forgetting. `TransformerMemory` copies it for every layer and calls :meth:`attach`.

    Ages and spans are in steps. A memory written at step i has age t - i when step t reads it; age 0 is the
    step itself and must always be readable.

    Under most rules what expires is gone. A rule with a ``factor`` leaves summaries, see the methods from
    :meth:`summaries` on; without one there are none, and those methods say so.
    """

    max_span: float
    """Max span: the longest span that the rule gives a memory, in steps."""

    random_span = False
    """Whether training should shorten spans at random (see `TransformerMemory.shorten`)."""

    factor = 0
    """States that a summary stands for; 0 if there are none."""

    elementwise = False
    """Whether `log_mask`, `expired` and `first_age` depend, element by element, on span and age alone, whatever the
    tensors' shape, and give -inf and True for an age of `FAR`, whatever the span. Then one call serves all layers."""

    def attach(self, width: int, heads: int = 1) -> None:
        """Create the parameters for a layer of that ``width`` and number of ``heads``, if the rule has any."""

    def span_parameters(self) -> list[nn.Parameter]:
        """The parameters that decide how long memories live; agents may train them at a pace of their own."""
        return []

    @abstractmethod
    def spans(self, h_BSD: Tensor) -> Tensor:
        """Spans (B, S) in steps of memories with normalised states ``h``; may be infinite."""

    @abstractmethod
    def log_mask(self, span: Tensor, age: Tensor) -> Tensor:
        """What is added to the attention scores: 0 readable, -inf not at all.

        ``span`` (B, 1, 1, K) and ``age`` (B, 1, T, K) are broadcast. The axis of size 1 is that of the heads: a rule
        under which heads differ returns (B, H, T, K).
        """

    @abstractmethod
    def expired(self, span: Tensor, age: Tensor) -> Tensor:
        """True where a memory is unreadable, for all heads, at this age and at every greater one."""

    def span_cost(self, span_BK: Tensor, age_BTK: Tensor) -> Tensor:
        """Penalty (scalar, in steps) of the T states written last; 0 for rules that learn no spans.

        Ages are `FAR` where a query does not see a memory.
        """
        return span_BK.new_zeros(())

    def summaries(self, columns: Columns, begin_BK: Tensor, steps: int) -> Summaries | None:
        """The summaries that fall due within a block of that many ``steps`` or right after it; None if none do.

        ``begin_BK``: place at which the episode of each memory began.
        """
        return None

    def renewed(self, span_BK: Tensor, before_BS: Tensor) -> Tensor:
        """Spans from those that :meth:`spans` gives now and, for the S first, those they had before."""
        return span_BK

    def first_age(self, span: Tensor) -> Tensor:
        """Age, in steps, at which a memory of that span can first be read: 0 for states, more for summaries."""
        return torch.zeros_like(span)

    def reconstruction(
        self, q_BHTd: Tensor, project: Callable[[Tensor], KeysValues], made: Summaries, readable_BTG: Tensor
    ) -> Tensor:
        """Loss (scalar) by which the rule learns to sum up, with gradient to nothing else.

        ``project``: keys and values of states (B, K, D), under weights that get no gradient. ``readable_BTG``: the
        queries that belong to the episode of what was summed up.
        """
        return q_BHTd.new_zeros(())
