"""State of a `TransformerMemory` from step to step: the memories of every layer, the clock, how spans are read."""

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
class SpanOverride:
    """Per environment: a span e is read as ``scale * min(max(e, floor), limit)``, scale <= 1.

    Deletion applies only the floor; limit and scale mask memories but never delete them. Neutral is (0, inf, 1).
    ``taught``: in a lesson in forgetting, an `unroll` reads the same and gives gradient to spans of any length
    (`expire_span.taught_mask`); never saved.
    """

    floor_B: Tensor
    limit_B: Tensor
    scale_B: Tensor
    taught: bool = False

    @classmethod
    def of(
        cls,
        like_B: Tensor,
        floor: Tensor | None = None,
        limit: Tensor | None = None,
        scale: Tensor | None = None,
        taught: bool = False,
    ) -> Self:
        """With the type and device of ``like_B`` (B,); None is neutral."""
        zero = torch.zeros_like(like_B)
        return cls(
            floor_B=zero if floor is None else floor.to(zero),
            limit_B=zero + math.inf if limit is None else limit.to(zero),
            scale_B=zero + 1 if scale is None else scale.to(zero).clamp(max=1),
            taught=taught,
        )

    def read(self, span_BK: Tensor) -> Tensor:
        """Spans as they are read."""
        return torch.minimum(self.kept(span_BK), self.limit_B[:, None]) * self.scale_B[:, None]

    def kept(self, span_BK: Tensor) -> Tensor:
        """Spans as deletion sees them, never shorter than `read`."""
        return torch.maximum(span_BK, self.floor_B[:, None])

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor."""
        return type(self)(fn(self.floor_B), fn(self.limit_B), fn(self.scale_B), self.taught)

    @classmethod
    def cat(cls, overrides: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(
            torch.cat([o.floor_B for o in overrides]),
            torch.cat([o.limit_B for o in overrides]),
            torch.cat([o.scale_B for o in overrides]),
            any(o.taught for o in overrides),
        )


@dataclass(frozen=True)
class TransformerState(MemoryState):
    """Memories of every layer and the clock.

    ``time_B`` (int64): steps taken in the episode, the timestep of the next input. ``spans``: how spans are altered
    before they are used, neutral unless training asks for something different.
    """

    time_B: Tensor
    spans: SpanOverride
    layers: tuple[LayerCache, ...]

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
        return type(self)(fn(self.time_B), self.spans.map(fn), layers)

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
        taught: bool = False,
    ) -> Self:
        """Same memories, spans altered anew, see `SpanOverride` (arguments of shape (B,); None is neutral)."""
        return replace(self, spans=SpanOverride.of(self.spans.floor_B, floor, limit, scale, taught))

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(
            torch.cat([s.time_B for s in states]),
            SpanOverride.cat([s.spans for s in states]),
            tuple(LayerCache.cat(caches) for caches in zip(*(s.layers for s in states), strict=True)),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Hidden states, births and clock; the rest is recomputed by ``refresh``."""
        spans = self.spans
        tensors = dict(time=self.time_B, floor=spans.floor_B, limit=spans.limit_B, scale=spans.scale_B)
        for i, layer in enumerate(self.layers):
            tensors |= {f"{i}.birth": layer.birth_BS, f"{i}.span": layer.span_BS, f"{i}.h": layer.h_BSD}
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of :meth:`state_dict`."""
        count = sum(name.endswith(".h") for name in tensors)
        layers = (LayerCache.of(*(tensors[f"{i}.{n}"] for n in ("birth", "span", "h"))) for i in range(count))
        spans = SpanOverride(tensors["floor"], tensors["limit"], tensors["scale"])
        return cls(tensors["time"], spans, tuple(layers))
