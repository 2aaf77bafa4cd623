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
    ``ramp_B``: None, but in a lesson in forgetting: the share of the rule's ramp, within (0, 1], that an `unroll` reads
    through; spans then have gradient whatever their length (`taught_mask`). Acting takes no notice of it.
    """

    time_B: Tensor
    floor_B: Tensor
    limit_B: Tensor
    scale_B: Tensor
    layers: tuple[LayerCache, ...]
    ramp_B: Tensor | None = None

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
        ramp_B = None if self.ramp_B is None else fn(self.ramp_B)
        return type(self)(fn(self.time_B), *alter, layers, ramp_B)

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
        ramp: Tensor | None = None,
    ) -> Self:
        """Same memories, spans altered anew (arguments of shape (B,); None is neutral)."""
        zero = torch.zeros_like(self.floor_B)
        return replace(
            self,
            floor_B=zero if floor is None else floor.to(zero),
            limit_B=zero + math.inf if limit is None else limit.to(zero),
            scale_B=zero + 1 if scale is None else scale.to(zero).clamp(max=1),
            ramp_B=None if ramp is None else ramp.to(zero),
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
        ramps = [s.ramp_B for s in states if s.ramp_B is not None]
        return cls(
            torch.cat([s.time_B for s in states]),
            torch.cat([s.floor_B for s in states]),
            torch.cat([s.limit_B for s in states]),
            torch.cat([s.scale_B for s in states]),
            tuple(LayerCache.cat(caches) for caches in zip(*(s.layers for s in states), strict=True)),
            torch.cat(ramps) if ramps else None,
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
