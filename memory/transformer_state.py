"""State of a `TransformerMemory` from step to step: the memories of every layer, the clock, how spans are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from expirespan.memory.core import MemoryState, near
from expirespan.memory.rules.rule import LONGEST
from expirespan.memory.slots import ABSENT, LayerMemories, Slots


@dataclass(frozen=True)
class SpanOverride:
    """Per environment: a span e is read as ``scale * min(max(e, floor), limit)``, scale <= 1.

    Deletion applies only the floor; limit and scale mask memories but never delete them. None is neutral: (0, inf, 1).
    ``taught``: in a lesson in forgetting, an `unroll` reads the same and gives gradient to spans of any length
    (`mask.taught_mask`); never saved.
    """

    floor_B: Tensor | None = None
    limit_B: Tensor | None = None
    scale_B: Tensor | None = None
    taught: bool = False

    def read(self, span: Tensor) -> Tensor:
        """Spans (B, ...) as they are read."""
        span = self.kept(span)
        if self.limit_B is not None:
            span = torch.minimum(span, _beside(self.limit_B, span))
        return span if self.scale_B is None else span * _beside(self.scale_B, span)

    def kept(self, span: Tensor) -> Tensor:
        """Spans (B, ...) as deletion sees them, never shorter than `read`."""
        return span if self.floor_B is None else torch.maximum(span, _beside(self.floor_B, span))

    def tensors(self) -> dict[str, Tensor]:
        """Those that are not neutral."""
        every = {"floor": self.floor_B, "limit": self.limit_B, "scale": self.scale_B}
        return {name: tensor for name, tensor in every.items() if tensor is not None}

    @classmethod
    def of(cls, tensors: dict[str, Tensor], taught: bool = False) -> Self:
        """From those that are not neutral."""
        return cls(tensors.get("floor"), tensors.get("limit"), tensors.get("scale"), taught)

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor."""
        return self.of({name: fn(tensor) for name, tensor in self.tensors().items()}, self.taught)

    @classmethod
    def cat(cls, overrides: Sequence[Self], sizes: Sequence[int]) -> Self:
        """Join along the environments, of which each has as many as ``sizes`` says."""
        joined = {}
        for name, neutral in NEUTRAL.items():
            given = [o.tensors().get(name) for o in overrides]
            some = next((t for t in given if t is not None), None)
            if some is not None:
                parts = zip(given, sizes, strict=True)
                joined[name] = torch.cat([some.new_full((n,), neutral) if t is None else t for t, n in parts])
        return cls.of(joined, any(o.taught for o in overrides))


NEUTRAL = {"floor": 0.0, "limit": torch.inf, "scale": 1.0}
"""What each of a `SpanOverride` is where it alters nothing."""


def _check(time_B: Tensor, layers: Sequence[LayerMemories], spans: SpanOverride) -> None:
    """Raise ValueError if tensors cannot be those of one state."""
    whole = [time_B, *(layer.birth_BS for layer in layers)]
    real = [part for layer in layers for part in (layer.span_BS, layer.h_BSD)] + list(
        spans.tensors().values()
    )
    ok = bool(layers) and time_B.dim() == 1 and all(t.dtype == torch.long for t in whole)
    ok = ok and all(t.is_floating_point() for t in real)
    ok = ok and all(t.shape == time_B.shape for t in spans.tensors().values())
    ok = ok and all(
        birth.dim() == 2
        and birth.shape == span.shape == h.shape[:-1]
        and len(birth) == len(time_B)
        and bool(((birth >= ABSENT) & (birth < time_B[:, None].clamp(min=1))).all())
        and bool(h.isfinite().all())
        and not bool(span.isnan().any())
        for birth, span, h in layers
    )
    if not ok:
        raise ValueError(
            "these tensors are no state of a Transformer's memory: expected time (B,), and of each layer birth (B, S) "
            "before it, span (B, S) and finite h (B, S, D), as state_dict() returns them"
        )


def _beside(value_B: Tensor, span: Tensor) -> Tensor:
    return value_B.to(span).view(-1, *[1] * (span.dim() - 1))


@dataclass(frozen=True)
class TransformerState(MemoryState):
    """Memories of every layer and the clock.

    ``time_B`` (int64): steps taken in the episode, the timestep of the next input. ``spans``: how spans are altered
    before they are used, neutral unless training asks for something different.
    """

    time_B: Tensor
    spans: SpanOverride
    slots: Slots

    @classmethod
    def of(cls, time_B: Tensor, layers: Sequence[LayerMemories], spans: SpanOverride | None = None) -> Self:
        """State that holds exactly these memories."""
        return cls(time_B, spans or SpanOverride(), Slots.of(layers))

    @property
    def batch_size(self) -> int:
        """Number of environments."""
        return self.time_B.shape[0]

    @property
    def layers(self) -> list[LayerMemories]:
        """The memories of each layer, oldest first."""
        return [self.slots.layer(i) for i in range(len(self.slots.store.h))]

    @property
    def nbytes(self) -> int:
        """Bytes that the memories take."""
        return self.slots.nbytes

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor (B, ...); what acting had computed of them is computed again."""
        return type(self)(fn(self.time_B), self.spans.map(fn), self.slots.map(fn))

    def __getitem__(self, envs: Tensor | Sequence[int] | slice) -> Self:
        """State of the chosen environments (indices, mask or slice), in that order."""
        rows = near(envs, self.time_B)
        return type(self)(self.time_B[rows], self.spans.map(lambda t: t[rows]), self.slots.rows(envs))

    def without_cache(self) -> Self:
        """Hidden states only."""
        return replace(self, slots=self.slots.without_kv())

    def with_spans(
        self,
        floor: Tensor | None = None,
        limit: Tensor | None = None,
        scale: Tensor | None = None,
        taught: bool = False,
    ) -> Self:
        """Same memories, spans altered anew, see `SpanOverride` (arguments of shape (B,); None is neutral)."""
        like = self.slots.store.span_BLC
        spans = SpanOverride(
            floor_B=None if floor is None else floor.to(like).clamp(max=LONGEST),
            limit_B=None if limit is None else limit.to(like),
            scale_B=None if scale is None else scale.to(like).clamp(max=1),
            taught=taught,
        )
        return replace(self, spans=spans)

    @classmethod
    def cat(cls, states: Sequence[Self]) -> Self:
        """Join along the environments."""
        return cls(
            torch.cat([s.time_B for s in states]),
            SpanOverride.cat([s.spans for s in states], [s.batch_size for s in states]),
            Slots.cat([s.slots for s in states]),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Hidden states (B, S, D), births and spans (B, S) and clock (B,) by name; ``refresh`` recomputes the rest."""
        tensors = {"time": self.time_B} | self.spans.tensors()
        for i, layer in enumerate(replace(self, slots=self.slots.pack()).layers):
            tensors |= {f"{i}.birth": layer.birth_BS, f"{i}.span": layer.span_BS, f"{i}.h": layer.h_BSD}
        return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> Self:
        """Inverse of :meth:`state_dict`.

        Raises:
            ValueError: shapes, types or numbers are none of a state; KeyError: a tensor is missing.
        """
        count = sum(name.endswith(".h") for name in tensors)
        layers = [LayerMemories(*(tensors[f"{i}.{n}"] for n in ("birth", "span", "h"))) for i in range(count)]
        _check(tensors["time"], layers, SpanOverride.of(tensors))
        return cls.of(tensors["time"], layers, SpanOverride.of(tensors))
