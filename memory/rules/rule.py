"""Base class of rules for forgetting: how long each memory lives, how it fades at the end, what remains of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from expirespan.memory.rules.mask import is_expired
from expirespan.parameters import EXACT, Stretch
from expirespan.ranges import require


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


def take_columns(tensor: Tensor, order_BS: Tensor) -> Tensor:
    """Columns ``order_BS`` of each row of a tensor (B, [H,] C, D)."""
    index = order_BS[..., None] if tensor.dim() == 3 else order_BS[:, None, :, None]
    shape = (*tensor.shape[:-2], order_BS.shape[1], tensor.shape[-1])
    return tensor.gather(-2, index.expand(shape))


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


def constant_spans(h_BSD: Tensor, steps: float) -> Tensor:
    """Spans (B, S) of as many ``steps`` for all states; exact, whatever precision the states have."""
    dtype = torch.promote_types(h_BSD.dtype, torch.float32)
    return h_BSD.new_full(h_BSD.shape[:-1], steps, dtype=dtype)


class Rule(nn.Module, ABC):
    """One layer's rule for forgetting. `TransformerMemory` copies it for every layer and calls :meth:`attach`.

    Ages and spans are in steps. A memory written at step i has age t - i when step t reads it; age 0 is the
    step itself and must always be readable.

    Under most rules what expires is gone. A rule with a ``factor`` leaves summaries, see the methods from
    :meth:`summaries` on; without one there are none, and those methods say so.
    """

    _max_span: float

    @property
    def max_span(self) -> float:
        """Max span: the longest span that the rule gives a memory, in steps; `math.inf` if all are kept.

        It may be raised after training. Set it after ``ramp``.

        Raises:
            ValueError: it is negative, or memories would be read at ages beyond `EXACT`.
        """
        return self._max_span

    @max_span.setter
    def max_span(self, steps: float) -> None:
        most = EXACT - math.ceil(self.ramp)
        exact = 0 <= steps <= most or steps == math.inf
        require(exact, "max_span", steps, f"a number of steps from 0 to 2**24 less the ramp, {most:,}")
        self._max_span = float(steps)

    stretch = 1.0
    """How many times as long as in training the longest spans are, if only long ones were raised; see
    :meth:`raise_max_span`."""

    def raise_max_span(self, max_span: float, stretch: Stretch = "all") -> None:
        """Raise ``max_span`` after training, for ``all`` spans in proportion or only for ``long`` ones.

        With ``long`` spans are `stretched`: unchanged up to ``ramp``, and multiplied by ``max_span`` over that of
        training from 4 ramps on. So memories judged irrelevant are deleted as soon as before. Not in the paper.

        Raises:
            ValueError: ages would not be exact (see :attr:`max_span`). With ``long`` also if the rule learns no
                spans, if it would lower ``max_span``, or if that of training is below 4 ramps, so that no span is long.
        """
        if stretch == "all":
            self.max_span = max_span
            return
        name, trained = type(self).__name__, self.max_span / self.stretch
        if not self.span_parameters():
            raise ValueError(f"{name} learns no spans, so that none of them is long: stretch must be 'all'")
        require(
            trained >= 4 * self.ramp,
            "ramp",
            self.ramp,
            f"at most a quarter of max_span in training, {trained:g}",
        )
        require(max_span >= trained, "max_span", max_span, f"at least that of training, {trained:g}")
        self.max_span = max_span
        self.stretch = self.max_span / trained

    random_span = False
    """Whether training should shorten spans at random (see `TransformerMemory.shorten`)."""

    factor = 0
    """States that a summary stands for; 0 if there are none."""

    ramp = 1.0
    """Steps over which a memory past its reach fades, > 0. With 1 it is read in full until it is gone."""

    def attach(self, width: int, heads: int = 1) -> None:
        """Create the parameters for a layer of that ``width`` and number of ``heads``, if the rule has any."""

    def span_parameters(self) -> list[nn.Parameter]:
        """The parameters that decide how long memories live; agents may train them at a pace of their own."""
        return []

    @abstractmethod
    def spans(self, h_BSD: Tensor) -> Tensor:
        """Spans (B, S) in steps of memories with normalised states ``h``, at most `LONGEST`."""

    layers_agree = True
    """Whether `reach` depends on nothing but the span. Then one call serves all layers, with an axis for them."""

    def reach(self, span_BK: Tensor) -> Tensor:
        """How far back memories of that span are read in full, in steps, (B, H, K), or (B, 1, K) where heads agree.

        A memory of age a is read with the mask clamp(1 + (reach - a) / ramp, 0, 1), and deleted once it has `expired`.
        """
        return span_BK.unsqueeze(-2)

    def expired(self, span_BK: Tensor, age_BK: Tensor) -> Tensor:
        """(B, K) True where a memory is unreadable, for all heads, at this age and at every greater one."""
        return is_expired(self.reach(span_BK).amax(-2) - age_BK, self.ramp)

    def span_cost(self, span_BK: Tensor, steps: int, ages: Callable[[], Tensor]) -> Tensor:
        """Penalty (scalar, in steps) of the ``steps`` T states written last; 0 for rules that learn no spans.

        ``ages`` gives those (B, T, K) at which each query sees each memory, `FAR` where it does not.
        """
        return span_BK.new_zeros(())

    def summaries(self, columns: Columns, begin_BK: Tensor, steps: int) -> Summaries | None:
        """The summaries that fall due within a block of that many ``steps`` or right after it; None if none do.

        ``begin_BK``: place at which the episode of each memory began.
        """
        return None

    def renewed(self, span_BK: Tensor, before_BS: Tensor) -> Tensor:
        """Spans (B, K) in steps from those that :meth:`spans` gives now and, for the S first, those they had before."""
        return span_BK

    def first_age(self, span: Tensor) -> Tensor:
        """First age in steps, of the shape of ``span``, at which a memory is read: 0 for states, more for summaries."""
        return torch.zeros_like(span)

    def reconstruction(
        self, q_BHTd: Tensor, project: Callable[[Tensor], KeysValues], made: Summaries, readable_BTG: Tensor
    ) -> Tensor:
        """Loss (scalar) by which the rule learns to sum up, with gradient to nothing else.

        ``project``: keys and values of states (B, K, D), under weights that get no gradient. ``readable_BTG``: the
        queries that belong to the episode of what was summed up.
        """
        return q_BHTd.new_zeros(())
