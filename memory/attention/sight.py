"""Which keys the queries of a block may see, and at what age they see them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from expirespan.memory.rules.rule import FAR


class Sight(NamedTuple):
    """K keys, of which the last but for summaries are the block's own T states, seen from its T queries.

    ``place_BK`` (int64): step at which each was written, counted from the start of the block; -`FAR` where there is
    none. ``begin_BT`` (int64): place at which the episode of each query began; never falls. ``youngest_BK`` (int64):
    age at which a key can first be read; None for 0. ``before``: S, keys from before the block.
    """

    place_BK: Tensor
    begin_BT: Tensor
    youngest_BK: Tensor | None
    before: int

    def ages(self, dtype: torch.dtype) -> Tensor:
        """Ages (B, T, K), `FAR` where a query does not see a key."""
        place_B1K = self.place_BK[:, None]
        age_BTK = torch.arange(self.begin_BT.shape[1], device=place_B1K.device)[:, None] - place_B1K
        hidden = place_B1K < self.begin_BT[:, :, None]
        youngest = 0 if self.youngest_BK is None else self.youngest_BK[:, None]
        return age_BTK.to(dtype).masked_fill_(hidden.logical_or_(age_BTK < youngest), FAR)

    def positions(self, ages_BTK: Tensor, M: int) -> Tensor:
        """Ages (B, N, S + N) of the keys that the first N = min(M - 1, T) queries may read by age; M stands for none.

        The later queries reach no key from before the block by their relative position.
        """
        S, N = self.before, min(M - 1, self.begin_BT.shape[1])
        near_BNK = ages_BTK[:, :N, : S + N].clamp(0, M).long()
        if self.youngest_BK is not None:  # summaries have no position
            near_BNK[:, :, :S].masked_fill_(self.youngest_BK[:, None, :S] > 0, M)
        return near_BNK
