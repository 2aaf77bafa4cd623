"""What a `TransformerMemory` carries from step to step: the memories of every layer, and the clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from expirespan.memory.cache import ABSENT, LayerCache
from expirespan.memory.core import MemoryState


@dataclass(frozen=True)
class TransformerState(MemoryState):
    """Memories of every layer and the clock.

    ``time_B`` (int64): steps taken in the episode, the timestep of the next input.
    ``floor_B``, ``limit_B``, ``scale_B``: how spans are altered before they are used, per environment:
    scale * min(max(e, floor), limit), scale <= 1; neutral (0, inf, 1) unless training says otherwise. Deletion heeds
    the floor alone, so that what limit and scale hide for a while is not lost.
    ``taught``: True in a lesson in forgetting, where an `unroll` gives gradient to spans of any length
    (`taught_mask`); what it reads is the same. Never saved.
    """

    time_B: Tensor
    floor_B: Tensor
    limit_B: Tensor
    scale_B: Tensor
    layers: tuple[LayerCache, ...]
    taught: bool = False

    @property
    def batch_size(self) -> int:
        """Number of environments."""
        return self.time_B.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the memories take."""
        return sum(layer.nbytes for layer in self.layers)

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor."""
        layers = tuple(layer.map(fn) for layer in self.layers)
        alter = (fn(self.floor_B), fn(self.limit_B), fn(self.scale_B))
        return type(self)(fn(self.time_B), *alter, layers, self.taught)

    def without_cache(self) -> Self:
        """Hidden states only."""
        return replace(self, layers=tuple(layer.without_keys() for layer in self.layers))

    def compact(self) -> Self:
        """Same memories, columns that hold none removed."""
        return replace(self, layers=tuple(layer.compact() for layer in self.layers))

    def widest(self) -> Tensor:
        """(B,) memories kept in the fullest layer."""
        counts = [(layer.birth_BS != ABSENT).sum(1) for layer in self.layers]
        return torch.stack(counts).amax(0)

    def with_spans(
        self,
        floor: Tensor | None = None,
        limit: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Self:
        """Same memories, spans altered anew (arguments of shape (B,); None is neutral)."""
        zero = torch.zeros_like(self.floor_B)
        return replace(
            self,
            floor_B=zero if floor is None else floor.to(zero),
            limit_B=zero + math.inf if limit is None else limit.to(zero),
            scale_B=zero + 1 if scale is None else scale.to(zero).clamp(max=1),
        )

    def altered(self, span_BK: Tensor) -> Tensor:
        """Spans as they are read."""
        return torch.minimum(self.kept(span_BK), self.limit_B[:, None]) * self.scale_B[:, None]

    def kept(self, span_BK: Tensor) -> Tensor:
        """Spans as deletion sees them, never shorter than `altered`."""
        return torch.maximum(span_BK, self.floor_B[:, None])

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(
            torch.cat([s.time_B for s in states]),
            torch.cat([s.floor_B for s in states]),
            torch.cat([s.limit_B for s in states]),
            torch.cat([s.scale_B for s in states]),
            tuple(LayerCache.cat(caches) for caches in zip(*(s.layers for s in states), strict=True)),
            any(s.taught for s in states),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Hidden states, births and clock; the rest is recomputed by ``refresh``."""
        tensors = dict(time=self.time_B, floor=self.floor_B, limit=self.limit_B, scale=self.scale_B)
        for i, layer in enumerate(self.layers):
            tensors |= {f"{i}.birth": layer.birth_BS, f"{i}.span": layer.span_BS, f"{i}.h": layer.h_BSD}
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of :meth:`state_dict`."""
        count = sum(name.endswith(".h") for name in tensors)
        layers = (LayerCache.of(*(tensors[f"{i}.{n}"] for n in ("birth", "span", "h"))) for i in range(count))
        alter = (tensors["floor"], tensors["limit"], tensors["scale"])
        return cls(tensors["time"], *alter, tuple(layers))
