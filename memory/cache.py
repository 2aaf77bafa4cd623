"""Storage of a layer's memories: rows by environment, packed to the left, columns added at the right.

A state is a value (see `MemoryState`), yet copying every memory at each step would cost more than reading them.
States that follow each other therefore share one store: a state of width W only looks at the first W
columns, so that its successor may write column W in place. The store counts the columns that are taken; whoever
continues an older state (a second branch) finds its column taken and gets its own store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

ABSENT = -1
"""Birth of a column that holds no memory (any more)."""


@dataclass
class Store:
    """Columns with room for more. ``tensors``: h (B, C, D), and for acting k and v (B, H, C, d)."""

    tensors: tuple[Tensor, ...]
    used: int

    @property
    def capacity(self) -> int:
        """Columns there is room for."""
        return self.tensors[0].shape[-2]


@dataclass(frozen=True)
class LayerCache:
    """Memories of one layer.

    ``birth_BS`` (int64): timestep in the episode at which each was written, ABSENT where there is none.
    ``span_BS``: its span when the cache was made. ``store``: hidden states and, for acting, keys and values.
    """

    birth_BS: Tensor
    span_BS: Tensor
    store: Store

    @property
    def width(self) -> int:
        """Columns in use: the memories of the fullest environment, and those about to be removed."""
        return self.birth_BS.shape[1]

    @property
    def h_BSD(self) -> Tensor:
        """Hidden states."""
        return self.store.tensors[0][:, : self.width]

    @property
    def has_keys(self) -> bool:
        """Whether keys and values are there, which acting needs."""
        return len(self.store.tensors) == 3

    @property
    def kv(self) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, d)."""
        return self.store.tensors[1][:, :, : self.width], self.store.tensors[2][:, :, : self.width]

    @property
    def nbytes(self) -> int:
        """Bytes allocated, spare columns included."""
        tensors = (self.birth_BS, self.span_BS, *self.store.tensors)
        return sum(t.numel() * t.element_size() for t in tensors)

    @classmethod
    def of(cls, birth_BS: Tensor, span_BS: Tensor, *tensors: Tensor) -> Self:
        """Cache of exactly these memories."""
        return cls(birth_BS, span_BS, Store(tensors, birth_BS.shape[1]))

    def columns(self) -> tuple[Tensor, ...]:
        """The tensors of the store, cut to the columns in use."""
        return tuple(t[..., : self.width, :] for t in self.store.tensors)

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor."""
        return self.of(fn(self.birth_BS), fn(self.span_BS), *(fn(t) for t in self.columns()))

    def without_keys(self) -> Self:
        """Only the hidden states."""
        return self.of(self.birth_BS, self.span_BS, self.h_BSD)

    def append(self, birth_B: Tensor, span_B: Tensor, *new: Tensor) -> Self:
        """One more memory per environment: ``new`` are h (B, D), k and v (B, H, d). Amortised O(1) columns copied."""
        cache = self
        if cache.width == cache.store.capacity:
            cache = cache.compact()
        width, store = cache.width, cache.store
        if width == store.capacity or store.used != width:
            spare = max(16, width // 4)
            grown = tuple(F.pad(t, (0, 0, 0, spare)) for t in cache.columns())
            store = Store(grown, width)
        for tensor, column in zip(store.tensors, new, strict=True):
            tensor[..., width, :] = column
        store.used = width + 1
        birth_BS = torch.cat([cache.birth_BS, birth_B[:, None]], 1)
        span_BS = torch.cat([cache.span_BS, span_B[:, None]], 1)
        return replace(cache, birth_BS=birth_BS, span_BS=span_BS, store=store)

    def compact(self) -> Self:
        """Delete the columns without memories: pack every row to the left, keeping its order."""
        present_BS = self.birth_BS != ABSENT
        width = int(present_BS.sum(1).max()) if present_BS.numel() else 0
        if width == self.width:
            return self
        order_BS = (~present_BS).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
        packed = (take_columns(t, order_BS) for t in self.columns())
        return self.of(self.birth_BS.gather(1, order_BS), self.span_BS.gather(1, order_BS), *packed)

    @classmethod
    def cat(cls, caches: Sequence[Self]) -> Self:
        """Join along the environments; narrower ones are filled up with absent columns.

        Keys are dropped unless all have them: a state that has not acted yet may join others that have.
        """
        if not all(cache.has_keys for cache in caches):
            caches = [cache.without_keys() for cache in caches]
        S = max(cache.width for cache in caches)
        birth = torch.cat([F.pad(c.birth_BS, (0, S - c.width), value=ABSENT) for c in caches])
        span = torch.cat([F.pad(c.span_BS, (0, S - c.width)) for c in caches])
        columns = zip(*([F.pad(t, (0, 0, 0, S - c.width)) for t in c.columns()] for c in caches), strict=True)
        return cls.of(birth, span, *(torch.cat(c) for c in columns))


def take_columns(tensor: Tensor, order_BS: Tensor) -> Tensor:
    """Columns ``order_BS`` of each row of a tensor (B, [H,] C, D)."""
    index = order_BS[..., None] if tensor.dim() == 3 else order_BS[:, None, :, None]
    shape = (*tensor.shape[:-2], order_BS.shape[1], tensor.shape[-1])
    return tensor.gather(-2, index.expand(shape))
