"""Storage of the memories of all layers: slots side by side, packed to the right, with free ones after them.

A state is a value (see `MemoryState`), yet copying every memory at each step would cost more than reading them. States
that follow each other therefore share one store. Each step writes its memories into the next free slot of all rows and
layers, which no earlier state looks at. Whoever continues an older state a second time finds that slot taken and gets
a store of its own. Once no slot is free, the memories that are left are packed into a new store: only then does the
host wait for a device, to hear how many they are, and only then do shapes change.

Letters: B environments, L layers, C slots of a row, D width, H heads, d = D / H.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from expirespan.memory.core import near
from expirespan.memory.rules.rule import take_columns

ABSENT = -1
"""Birth in a slot that holds no memory (any more)."""
ROOM = 8
"""Fewest free slots after packing for steps to come."""


class LayerMemories(NamedTuple):
    """Memories of one layer, oldest first: timesteps at which each was written (B, S), ABSENT where there is none, its
    span (B, S) and the state itself (B, S, D).
    """

    birth_BS: Tensor
    span_BS: Tensor
    h_BSD: Tensor


@dataclass
class Store:
    """Tensors that successive states share. Layer l has the last C_l of the C slots.

    ``h``: states, per layer (B, C_l, D). ``kv``: keys (B, H, d, C_l) and values (B, H, C_l, d) per layer, empty in a
    state that has not acted. ``projections``: weight and bias by which acting projects its inputs, per layer, made with
    ``kv`` from the same weights. ``used``: slots taken.
    """

    span_BLC: Tensor
    h: list[Tensor]
    kv: list[tuple[Tensor, Tensor]]
    projections: list[tuple[Tensor, Tensor]]
    used: int


@dataclass(frozen=True)
class Slots:
    """The memories of all layers.

    ``birth_BLC`` (int64): timestep in the episode at which each was written, ABSENT where there is none. ``used``:
    slots that this state may look at. ``packed``: slots taken at the last packing. ``count_BL``, on the host: memories
    in them.
    """

    birth_BLC: Tensor
    store: Store
    used: int
    packed: int
    count_BL: Tensor

    @classmethod
    def of(cls, layers: Sequence[LayerMemories]) -> Self:
        """Slots that hold exactly these memories, packed."""
        C = max(layer.birth_BS.shape[1] for layer in layers)
        birth = torch.stack(
            [F.pad(x.birth_BS, (C - x.birth_BS.shape[1], 0), value=ABSENT) for x in layers], 1
        )
        span = torch.stack([F.pad(x.span_BS, (C - x.span_BS.shape[1], 0)) for x in layers], 1)
        count = torch.zeros(birth.shape[:2], dtype=torch.long)
        return cls(birth, Store(span, [x.h_BSD for x in layers], [], [], C), C, 0, count).pack()

    @property
    def capacity(self) -> int:
        """C."""
        return self.birth_BLC.shape[2]

    @property
    def acts(self) -> bool:
        """Whether keys and values are there, which acting needs."""
        return bool(self.store.kv)

    @property
    def nbytes(self) -> int:
        """Bytes allocated for memories, free slots included."""
        tensors = [
            self.birth_BLC,
            self.store.span_BLC,
            *self.store.h,
            *(t for kv in self.store.kv for t in kv),
        ]
        return sum(t.numel() * t.element_size() for t in tensors)

    def lead(self, layer: int) -> int:
        """Slots that a layer lacks at the left."""
        return self.capacity - self.store.h[layer].shape[1]

    def layer(self, i: int) -> LayerMemories:
        """The memories of layer i."""
        own = slice(self.lead(i), self.used)
        h = self.store.h[i][:, : self.used - self.lead(i)]
        return LayerMemories(self.birth_BLC[:, i, own], self.store.span_BLC[:, i, own], h)

    def map(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``fn`` to every tensor; keys, values and free slots are dropped."""
        span = fn(self.store.span_BLC[..., : self.used])
        h = [fn(h[:, : self.used - self.lead(i)]) for i, h in enumerate(self.store.h)]
        store = Store(span, h, [], [], self.used)
        return replace(self, birth_BLC=fn(self.birth_BLC[..., : self.used]), store=store)

    def rows(self, envs: Tensor | Sequence[int] | slice) -> Self:
        """Those of the chosen environments, in a store of their own."""
        rows = near(envs, self.birth_BLC)
        host = envs.cpu() if isinstance(envs, Tensor) else envs

        def pick(tensor: Tensor) -> Tensor:
            return tensor[rows].clone() if isinstance(envs, slice) else tensor[rows]

        return replace(
            self, birth_BLC=self.birth_BLC[rows], store=self._own_store(pick), count_BL=self.count_BL[host]
        )

    def _own_store(self, copy: Callable[[Tensor], Tensor]) -> Store:
        """Store for this state alone, of copied tensors; what others wrote to its free slots is gone."""
        s = self.store
        span_BLC = copy(s.span_BLC)
        span_BLC[..., self.used :] = 0
        kv = [(copy(k), copy(v)) for k, v in s.kv]
        return Store(span_BLC, [copy(h) for h in s.h], kv, s.projections, self.used)

    def without_kv(self) -> Self:
        """Same memories without keys, values and free slots; the states themselves are shared."""
        return self.map(lambda t: t)

    @property
    def width_B(self) -> Tensor:
        """(B,) slots of the fullest layer that each row needs, on the host."""
        return self.count_BL.amax(1) + (self.used - self.packed)

    def trim(self) -> Self:
        """Without the slots at the left that no row needs."""
        most = self.count_BL.amax(0).tolist() if self.count_BL.numel() else [0] * len(self.store.h)
        added, ends = self.used - self.packed, [self.used - self.lead(i) for i in range(len(most))]
        keep = [min(count + added, end) for count, end in zip(most, ends, strict=True)]
        C = max(keep)
        h = [t[:, end - n : end] for t, n, end in zip(self.store.h, keep, ends, strict=True)]
        own = slice(self.used - C, self.used)
        store = Store(self.store.span_BLC[..., own], h, [], [], C)
        return replace(self, birth_BLC=self.birth_BLC[..., own], store=store, used=C, packed=C - added)

    def with_room(self, steps: int) -> Self:
        """Same memories, with that many free slots to write to."""
        if self.used + steps > self.capacity:
            return self.pack(ROOM)
        if self.used != self.store.used:
            return replace(self, store=self._own_store(torch.clone))
        return self

    def pack(self, room: int = 0) -> Self:
        """Only the memories that are there, packed to the right in their order, and at least ``room`` free slots.

        Without room every layer gets the slots of its fullest row. With it, sizes are few: so are the shapes of what
        acting computes.
        """
        birth, store = self.birth_BLC[..., : self.used], self.store
        here = birth != ABSENT
        count_BL = here.sum(-1).cpu()
        most = count_BL.amax(0).tolist() if count_BL.numel() else [0] * len(store.h)
        width = max(most)
        free = _free(width, room)
        widths = [min(-(-n // ROOM) * ROOM, width) if room else n for n in most]
        order = here.to(torch.uint8).argsort(dim=-1, stable=True)[..., self.used - width :]
        h, kv = [], []
        for i, n in enumerate(widths):
            index_BS = (order[:, i, width - n :] - self.lead(i)).clamp(min=0)
            h.append(_freed(take_columns(store.h[i], index_BS), free))
            if self.acts:
                k, v = store.kv[i]
                k = F.pad(k.gather(-1, index_BS[:, None, None].expand(*k.shape[:3], -1)), (0, free))
                kv.append((k, _freed(take_columns(v, index_BS), free)))
        birth = F.pad(birth.gather(-1, order), (0, free), value=ABSENT)
        span = F.pad(store.span_BLC.gather(-1, order), (0, free))
        return type(self)(birth, Store(span, h, kv, store.projections, width), width, width, count_BL)

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Join along the environments, without keys and values."""
        if len(parts) == 1:
            return parts[0]
        C, layers = max(part.used for part in parts), range(len(parts[0].store.h))

        def joined(tensors: Sequence[Tensor], width: int, dim: int, value: float = 0) -> Tensor:
            tail = (0, 0) * (-1 - dim)
            return torch.cat([F.pad(t, (*tail, width - t.shape[dim], 0), value=value) for t in tensors])

        parts = [part.without_kv() for part in parts]
        h = [
            joined([p.store.h[i] for p in parts], max(p.store.h[i].shape[1] for p in parts), -2)
            for i in layers
        ]
        birth = joined([p.birth_BLC for p in parts], C, -1, ABSENT)
        span = joined([p.store.span_BLC for p in parts], C, -1)
        added = max(part.used - part.packed for part in parts)
        counts = [p.count_BL + (p.used - p.packed) - added for p in parts]
        return cls(birth, Store(span, h, [], [], C), C, C - added, torch.cat(counts).clamp(min=0))


def _free(width: int, room: int) -> int:
    """Free slots after packing: at least ``room`` and an eighth of those in use, such that sizes are few."""
    if room == 0:
        return 0
    least = width + max(room, width // 8)
    grain = max(room, 1 << max(least.bit_length() - 4, 0))
    return -(-least // grain) * grain - width


def _freed(tensor: Tensor, free: int) -> Tensor:
    """With ``free`` more columns at the right."""
    return F.pad(tensor, (0, 0, 0, free)) if free else tensor
