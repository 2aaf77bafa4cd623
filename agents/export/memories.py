"""One step of a memory at fixed shapes: state tensors in, output and state tensors out.

The computation is that of `memory/acting.py` and of the recurrent memories. What is new is where memories lie: each
layer has C slots, in the place of rows that grow and are packed.

Letters: B environments, L layers, C slots, D width, H heads, d = D / H.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch as th
from torch import nn
from torch.nn import functional as F

from expirespan.agents.export.capacity import choose_capacity
from expirespan.memory import GRUMemory, LSTMMemory, Memory, TransformerMemory, acting
from expirespan.memory.recurrent import RecurrentState
from expirespan.memory.slots import ABSENT, Slots, Store
from expirespan.memory.transformer_layer import TransformerLayer
from expirespan.memory.transformer_state import SpanOverride

Tensors = dict[str, th.Tensor]


class StatePart(NamedTuple):
    """One tensor of the state: ``shape`` without the batch, ``output``: the name under which the next one comes out.

    In every part zeros stand for the memory of an environment that has seen nothing.
    """

    shape: tuple[int, ...]
    dtype: th.dtype
    output: str
    meaning: str


class MemoryGraph(nn.Module):
    """A memory's step at fixed shapes. ``parts``: its state, by name of the input."""

    parts: dict[str, StatePart]
    capacity: int | None = None

    def forward(
        self, x_BD: th.Tensor, start_B: th.Tensor, state: Tensors
    ) -> tuple[th.Tensor, Tensors, th.Tensor | None]:
        """Output (B, D), next state, and memories read (B, L), None where there are none to count."""
        raise NotImplementedError


class RecurrentGraph(MemoryGraph):
    """Of an LSTM or a GRU."""

    def __init__(self, memory: LSTMMemory | GRUMemory) -> None:
        super().__init__()
        self.memory = memory
        shape = (memory.parts * memory.rnn.num_layers, memory.width)
        what = "hidden and then cell vectors" if memory.parts > 1 else "hidden vectors"
        self.parts = {"hidden": StatePart(shape, th.float32, "next_hidden", f"{what} of each layer")}

    def forward(
        self, x_BD: th.Tensor, start_B: th.Tensor, state: Tensors
    ) -> tuple[th.Tensor, Tensors, th.Tensor | None]:
        """One recurrent step."""
        out = self.memory.step(x_BD, RecurrentState(state["hidden"]), start_B)
        return out.y, {"hidden": out.state.hidden}, None


class TransformerGraph(MemoryGraph):
    """Of a `TransformerMemory` under any of its rules, with C slots per layer.

    A step reads the C slots, and one more for the memory that it writes. Then expired memories are deleted, and the
    new one goes to a free slot. If none is free, the memory that would be deleted soonest is dropped and ``overflow``
    set, until the next episode. A rule that sums up keeps its slots in order of birth, and drops the oldest.
    """

    capacity: int

    def __init__(self, memory: TransformerMemory, capacity: int | None = None) -> None:
        super().__init__()
        self.memory, self.capacity = memory, choose_capacity(memory.rules, capacity)
        self.sums_up = bool(memory.rules[0].factor)
        for i, layer in enumerate(self.layers):
            for name, tensor in zip(("weight", "bias"), layer.projection(), strict=True):
                self.register_buffer(f"{name}{i}", tensor.detach())
        L, C, D = len(self.layers), self.capacity, memory.width
        H, real = self.layers[0].heads, memory.norm.weight.dtype
        d = D // H
        self.parts = {
            "time": StatePart((), th.int64, "next_time", "steps taken in the episode"),
            "birth": StatePart(
                (L, C),
                th.int64,
                "next_birth",
                "1 + the step of the episode at which the memory in each slot was written, 0 where the slot is free",
            ),
            "span": StatePart((L, C), th.float32, "next_span", "span of the memory in each slot, in steps"),
            "keys": StatePart((L, H, d, C), real, "next_keys", "attention keys of the memories"),
            "values": StatePart((L, H, C, d), real, "next_values", "attention values of the memories"),
        }
        if self.sums_up:
            self.parts["states"] = StatePart(
                (L, C, D), real, "next_states", "the memories themselves, to sum up"
            )
        self.parts["overflowed"] = StatePart(
            (), th.bool, "overflow", "the output overflow of the step before"
        )

    @property
    def layers(self) -> list[TransformerLayer]:
        """Of the memory."""
        return list(self.memory.layers)  # type: ignore[arg-type]

    def forward(
        self, x_BD: th.Tensor, start_B: th.Tensor, state: Tensors
    ) -> tuple[th.Tensor, Tensors, th.Tensor | None]:
        """One step of all layers."""
        layers, C, more = self.layers, self.capacity, 2 if self.sums_up else 1
        time_B = state["time"].masked_fill(start_B, 0)
        birth_BLC = F.pad(state["birth"] - 1, (0, more), value=ABSENT)
        span_BLC = F.pad(state["span"], (0, more))
        kv = [
            (F.pad(k, (0, more)), F.pad(v, (0, 0, 0, more)))
            for k, v in zip(state["keys"].unbind(1), state["values"].unbind(1), strict=True)
        ]
        if self.sums_up:
            h = [F.pad(part, (0, 0, 0, more)) for part in state["states"].unbind(1)]
        else:  # written and never read
            h = [x_BD.new_zeros(x_BD.shape[0], C + more, x_BD.shape[1]) for _ in layers]
        projections = [(getattr(self, f"weight{i}"), getattr(self, f"bias{i}")) for i in range(len(layers))]
        own = slice(C, C + 1)
        found = acting.read_and_write(
            *(layers, x_BD, time_B, start_B, birth_BLC, span_BLC, h, kv, projections),
            *(SpanOverride(), own, [own] * len(layers), False),
        )
        kept_BLC = found.kept_BLC
        if self.sums_up:
            count = th.zeros(kept_BLC.shape[:2], dtype=th.long)
            store = Store(span_BLC, h, kv, projections, C + 1)
            acting.sum_up(layers, Slots(kept_BLC, store, C + 1, 0, count), found.birth_BLC, kept_BLC, time_B)
            after, lost_BL = _in_order(kept_BLC, span_BLC, kv, h, C)
        else:
            reach_BLC = acting.of_layers([layer.rule for layer in layers], "reach", span_BLC).amax(2)
            remaining_BLC = reach_BLC - (time_B[:, None, None] - kept_BLC)
            after, lost_BL = _to_free_slots(kept_BLC, span_BLC, kv, remaining_BLC, C)
        after["time"] = time_B + 1
        after["overflowed"] = (state["overflowed"] & ~start_B) | lost_BL.any(1)
        return self.memory.norm(found.x_BD), {name: after[name] for name in self.parts}, found.alive_BL


def _to_free_slots(
    kept_BLC: th.Tensor,
    span_BLC: th.Tensor,
    kv: list[tuple[th.Tensor, th.Tensor]],
    remaining_BLC: th.Tensor,
    C: int,
) -> tuple[Tensors, th.Tensor]:
    """Move the memory in slot C of each layer to a free slot, or to that of the memory with the least time left.

    Returns what the first C slots hold then, and (B, L) where a memory was dropped that could still be read.
    """
    gone_BLC = kept_BLC == ABSENT
    place_BL1 = remaining_BLC.masked_fill(gone_BLC, -th.inf).argmin(
        -1, keepdim=True
    )  # C: the new one is dropped
    lost_BL = ~gone_BLC.gather(-1, place_BL1)[..., 0]
    hot_BLC = th.arange(C, device=place_BL1.device) == place_BL1

    def moved(tensor: th.Tensor, axis: int, hot: th.Tensor) -> th.Tensor:
        return th.where(hot, tensor.narrow(axis, C, 1), tensor.narrow(axis, 0, C))

    hot = hot_BLC.unbind(1)
    after = {
        "birth": moved(kept_BLC, 2, hot_BLC) + 1,
        "span": moved(span_BLC, 2, hot_BLC),
        "keys": th.stack([moved(k, 3, own[:, None, None]) for (k, _), own in zip(kv, hot, strict=True)], 1),
        "values": th.stack(
            [moved(v, 2, own[:, None, :, None]) for (_, v), own in zip(kv, hot, strict=True)], 1
        ),
    }
    return after, lost_BL


def _in_order(
    kept_BLC: th.Tensor,
    span_BLC: th.Tensor,
    kv: list[tuple[th.Tensor, th.Tensor]],
    h: list[th.Tensor],
    C: int,
) -> tuple[Tensors, th.Tensor]:
    """The C newest memories of each layer by birth, and (B, L) where there were more."""
    order_BLC = kept_BLC.argsort(-1)[..., -C:]
    lost_BL = (kept_BLC != ABSENT).sum(-1) > C
    order = order_BLC.unbind(1)

    def picked(tensor: th.Tensor, axis: int, own_BC: th.Tensor) -> th.Tensor:
        shape = [1] * tensor.dim()
        shape[0], shape[axis] = -1, C
        size = list(tensor.shape)
        size[axis] = C
        return tensor.gather(axis, own_BC.reshape(shape).expand(size))

    after = {
        "birth": kept_BLC.gather(-1, order_BLC) + 1,
        "span": span_BLC.gather(-1, order_BLC),
        "keys": th.stack([picked(k, 3, own) for (k, _), own in zip(kv, order, strict=True)], 1),
        "values": th.stack([picked(v, 2, own) for (_, v), own in zip(kv, order, strict=True)], 1),
        "states": th.stack([picked(part, 1, own) for part, own in zip(h, order, strict=True)], 1),
    }
    return after, lost_BL


def memory_graph(memory: Memory[Any], capacity: int | None = None) -> MemoryGraph:
    """The step of a memory at fixed shapes; ``capacity``: slots of each layer, for Transformers.

    Raises:
        ValueError: there is no graph for such a memory, or the capacity does not suit it.
    """
    if isinstance(memory, TransformerMemory):
        return TransformerGraph(memory, capacity)
    if isinstance(memory, LSTMMemory | GRUMemory):
        if capacity is not None:
            raise ValueError(
                f"capacity={capacity}: {type(memory).__name__} keeps no memories; leave capacity out"
            )
        return RecurrentGraph(memory)
    raise ValueError(
        f"{type(memory).__name__} has no graph of fixed shapes: expected one of TransformerMemory, LSTMMemory and "
        "GRUMemory; export the policy's file instead, which holds any memory"
    )
