"""Compressive: states that leave the window are compressed, c into one, and read for longer at a coarser grain.

Rae et al. 2020, "Compressive Transformers for Long-Range Sequence Modelling", arXiv 1911.05507, section 3.

    read  = [slots summaries] [window states]
    s_g   = f(h_gc, ..., h_gc+c-1)                           group g of c neighbours, f a convolution or pooling
    loss += mean (attn(q, h_old) - attn(q, s))^2             attention reconstruction; trains f alone

The paper evicts a whole segment at a time. Here groups are counted from the start of the episode, whatever the
blocks, so that steps and blocks of any length agree: group g is compressed when its oldest state leaves the window, and
its summary lives as long as ``slots`` of them fit, c steps each. So everything older than the window is covered. Both
kinds lie in one cache, distinguished by their spans. Summaries are read without relative positions, like all
that is old. In the paper the reconstruction alone trains f; here the task does as well where a summary is read in the
block in which it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from expirespan.memory.rules.rule import Columns, KeysValues, Rule, Summaries, constant_spans, take_columns
from expirespan.parameters import EXACT, Factor, FiniteWindow, SummarySlots
from expirespan.ranges import checked, require


class Compressive(Rule):
    """The ``window`` last states (int >= 1, the present one included), and ``slots`` summaries of ``factor`` states.

    ``factor``: c, from 1 to ``window``. ``compression``: "conv" (learned; it begins as the mean), "mean" or "max".

    Raises:
        ValueError: an argument is outside of its range, ``factor`` exceeds ``window``, or memories would be read at
            ages beyond 2**24 steps.
    """

    @checked
    def __init__(
        self,
        window: FiniteWindow = 64,
        slots: SummarySlots = 48,
        factor: Factor = 4,
        compression: Literal["conv", "mean", "max"] = "conv",
    ) -> None:
        super().__init__()
        require(factor <= window, "factor", factor, f"an integer from 1 to window={window}")
        self.window, self.slots, self.factor = int(window), int(slots), int(factor)
        self.compression = compression
        reach = window + slots * factor
        require(reach <= EXACT, "window + slots * factor", reach, "at most 2**24 steps")
        self.max_span = float(reach - 1)
        self.convolution: nn.Linear | None = None

    def attach(self, width: int, heads: int = 1) -> None:
        """Create the convolution: kernel and stride c, hence a linear map of c states side by side."""
        if self.compression == "conv":
            self.convolution = nn.Linear(self.factor * width, width)
            nn.init.zeros_(self.convolution.bias)
            with torch.no_grad():
                self.convolution.weight.copy_(torch.eye(width).repeat(1, self.factor) / self.factor)

    def compress(self, states_BGcD: Tensor) -> Tensor:
        """Summaries (B, G, D) of c neighbouring states each."""
        if self.convolution is not None:
            summary: Tensor = self.convolution(states_BGcD.flatten(2))
            return summary
        return states_BGcD.amax(2) if self.compression == "max" else states_BGcD.mean(2)

    def spans(self, h_BSD: Tensor) -> Tensor:
        """States live through the window."""
        return constant_spans(h_BSD, self.window - 1)

    def renewed(self, span_BK: Tensor, before_BS: Tensor) -> Tensor:
        """Spans (B, K): the S first keep those of before, for what was a summary still is one."""
        S = before_BS.shape[1]
        return torch.cat([before_BS, span_BK[:, S:]], 1)

    def first_age(self, span: Tensor) -> Tensor:
        """Ages in the shape of ``span``: summaries are read when the first of their states no longer is."""
        return self.window * (span >= self.window)

    def summaries(self, columns: Columns, begin_BK: Tensor, steps: int) -> Summaries:
        """Of the groups whose oldest state leaves the window within the block or right after it: G = steps / c, rounded
        up, of which some are absent.
        """
        state_BK = (columns.episode_BK >= 0) & (columns.span_BK < self.window)
        order_BK = (~state_BK).to(torch.uint8).argsort(dim=1, stable=True)  # neighbours in time side by side
        place_BK, episode_BK, begin_BK, state_BK = (
            t.gather(1, order_BK) for t in (columns.place_BK, columns.episode_BK, begin_BK, state_BK)
        )
        first_BK = state_BK & ((place_BK - begin_BK) % self.factor == 0)
        first_BK &= (place_BK + self.window > 0) & (place_BK + self.window <= steps)
        for i in range(1, self.factor):  # the group must be whole
            first_BK &= _ahead(state_BK, i) & (_ahead(episode_BK, i) == episode_BK)
            first_BK &= _ahead(place_BK, i) == place_BK + i
        G = min(-(-steps // self.factor), place_BK.shape[1])
        at_BG = (~first_BK).to(torch.uint8).argsort(dim=1, stable=True)[:, :G]
        there_BG = first_BK.gather(1, at_BG)
        offset_c = torch.arange(self.factor, device=at_BG.device)
        group_BC = order_BK.gather(
            1, (at_BG[..., None] + offset_c).clamp(max=order_BK.shape[1] - 1).flatten(1)
        )
        states_BGcD = take_columns(columns.h_BKD, group_BC).unflatten(1, (G, -1))
        h_BGD = self.compress(states_BGcD)
        episode_BG = episode_BK.gather(1, at_BG).masked_fill(~there_BG, -1)
        made = Columns(h_BGD, place_BK.gather(1, at_BG), episode_BG, constant_spans(h_BGD, self.max_span))
        return Summaries(made, states_BGcD)

    def reconstruction(
        self, q_BHTd: Tensor, project: Callable[[Tensor], KeysValues], made: Summaries, readable_BTG: Tensor
    ) -> Tensor:
        """Mean over all queries of the squared difference that compression makes to what content-based attention reads.

        A query that reads no summary counts as one without a difference. So rows can be read in any groups.
        """
        if self.convolution is None or not torch.is_grad_enabled():
            return q_BHTd.new_zeros(())
        states_BGcD = made.states_BGcD.detach()
        old = _read(
            q_BHTd, *project(states_BGcD.flatten(1, 2)), readable_BTG.repeat_interleave(self.factor, 2)
        )
        new = _read(q_BHTd, *project(self.compress(states_BGcD)), readable_BTG)
        error_BT = (new - old).square().mean((1, 3))
        return (error_BT * readable_BTG.any(2)).mean()


def _ahead(x_BK: Tensor, i: int) -> Tensor:
    """What stands i columns to the right; 0 or False beyond the last."""
    return F.pad(x_BK[:, i:], (0, min(i, x_BK.shape[1])))


def _read(q_BHTd: Tensor, k: Tensor, v: Tensor, readable_BTK: Tensor) -> Tensor:
    """Attention by content alone; a query with nothing to read reads everything, to no effect on the loss."""
    readable_BTK = readable_BTK | ~readable_BTK.any(2, keepdim=True)
    return F.scaled_dot_product_attention(q_BHTd, k, v, attn_mask=readable_BTK[:, None])
