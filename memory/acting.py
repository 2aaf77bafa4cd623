"""Acting: one step of all layers on slots of stored keys and values. The bookkeeping of all layers is done at once.

Letters: B environments, L layers, C slots, D width, H heads, M positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from expirespan.memory.attention import StepInputs, step_in_c, step_weights, steps_in_c
from expirespan.memory.attention import step as attend_step
from expirespan.memory.core import Trace
from expirespan.memory.rules.mask import soft_mask
from expirespan.memory.rules.rule import FAR, Columns, Rule
from expirespan.memory.slots import ABSENT, ROOM, Slots, Store
from expirespan.memory.transformer_layer import TransformerLayer
from expirespan.memory.transformer_state import SpanOverride, TransformerState


def refresh(layers: Sequence[TransformerLayer], slots: Slots) -> Slots:
    """Keys, values and spans of the memories under the present weights, with room for steps to come."""
    slots = slots.without_kv().pack(ROOM)
    store, kv, span_BLC = slots.store, [], slots.store.span_BLC.clone()
    for i, layer in enumerate(layers):
        own = slice(slots.lead(i), slots.capacity)
        _, k, v, span_BS = layer.project(store.h[i])
        kv.append((k.permute(0, 2, 3, 1).contiguous(), v.transpose(1, 2).contiguous()))
        span_BLC[:, i, own] = layer.rule.renewed(span_BS, store.span_BLC[:, i, own])
    projections = [layer.projection() for layer in layers]
    return replace(slots, store=Store(span_BLC, store.h, kv, projections, store.used))


class Reading(NamedTuple):
    """Output of the last layer, spans given to what was written, births before and after deletion, how many memories
    were read, and the attention of each layer.
    """

    x_BD: Tensor
    span_BL: Tensor
    birth_BLC: Tensor
    kept_BLC: Tensor
    alive_BL: Tensor
    attention: list[Tensor]


def step(
    layers: Sequence[TransformerLayer],
    x_BD: Tensor,
    state: TransformerState,
    forget_B: Tensor,
    need_attention: bool,
    read: Callable[..., Reading],
) -> tuple[Tensor, TransformerState, Trace]:
    """Output of the last layer, next state and trace. ``state`` must hold keys and values.

    ``read``: `read_and_write`, or what a compiler made of it.
    """
    summing = bool(layers[0].rule.factor)
    slots = state.slots.with_room(2 if summing else 1)
    store, slot, leads = slots.store, slots.used, [slots.lead(i) for i in range(len(layers))]
    time_B = state.time_B.masked_fill(forget_B, 0)
    in_c = steps_in_c(layers[0].kernel, store.kv[0][0]) and not (summing or need_attention)
    if in_c and all(type(layer.rule).expired is Rule.expired for layer in layers):
        done = read_and_write_in_c(layers, x_BD, time_B, forget_B, slots, state.spans)
    else:
        tensors = slots.birth_BLC, store.span_BLC, store.h, store.kv, store.projections
        place, *places = [slice(slot - lead, slot - lead + 1) for lead in (0, *leads)]
        done = read(layers, x_BD, time_B, forget_B, *tensors, state.spans, place, places, need_attention)
    kept_BLC = done.kept_BLC
    store.used = slot + 1
    if summing:
        sum_up(layers, slots, done.birth_BLC, kept_BLC, time_B)
    after = replace(slots, birth_BLC=kept_BLC, used=store.used)
    trace = Trace(
        spans=list(done.span_BL.unsqueeze(-1).unbind(1)),
        alive=list(done.alive_BL.unsqueeze(-1).unbind(1)),
        births=[kept_BLC[:, i, lead : after.used] for i, lead in enumerate(leads)],
    )
    if need_attention:
        births = [done.birth_BLC[:, i, lead:] for i, lead in enumerate(leads)]
        pairs = [_by_birth(w, b) for w, b in zip(done.attention, births, strict=True)]
        trace = replace(trace, attention=[w for w, _ in pairs], keys=[b for _, b in pairs])
    return done.x_BD, TransformerState(time_B + 1, state.spans, after), trace


def read_and_write(
    layers: Sequence[TransformerLayer],
    x_BD: Tensor,
    time_B: Tensor,
    forget_B: Tensor,
    birth_BLC: Tensor,
    span_BLC: Tensor,
    h: Sequence[Tensor],
    kv: Sequence[tuple[Tensor, Tensor]],
    projections: Sequence[tuple[Tensor, Tensor]],
    spans: SpanOverride,
    place: slice,
    places: Sequence[slice],
    need_attention: bool,
) -> Reading:
    """All that a step computes: tensors alone, of shapes that only the capacity changes, without a host's wait.

    What the store holds is written in place: to slot ``place``, which in each layer is slot ``places``.
    """
    rules = [layer.rule for layer in layers]
    birth_BLC = birth_BLC.masked_fill(forget_B[:, None, None], ABSENT)
    birth_BLC[..., place] = time_B[:, None, None]
    age_BLC, mask_BLHC, near_BLC = sight(layers, birth_BLC, time_B, span_BLC, spans)
    M, C = layers[0].position.shape[1], birth_BLC.shape[2]
    given: list[Tensor] = []
    attention: list[Tensor] = []

    def attend(i: int, x_BD: Tensor, p: Tensor, span_B: Tensor) -> Tensor:
        (k, v), lead, own = kv[i], C - h[i].shape[1], places[i]
        B, H, d = k.shape[:3]
        parts = p.split([H * d, H * d, H * d, H * (M + 1)], -1)
        q, key, value, by_age = (part.view(B, H, -1) for part in parts)
        h[i][:, own] = x_BD[:, None]
        k[..., own] = key[..., None]
        v[:, :, own] = value[:, :, None]
        mask, near = mask_BLHC[:, i, :, lead:], near_BLC[:, i, lead:]
        given.append(span_B)
        if need_attention:
            attention.append(step_weights(q, k, by_age, mask, near)[:, :, None])
        return attend_step(q, k, v, by_age, mask, near).flatten(1)

    x = x_BD
    for i, layer in enumerate(layers):
        x = layer.step(x, projections[i], partial(attend, i, x))

    span_BL = torch.stack(given, 1)
    span_BLC[..., place] = span_BL[:, :, None]
    dead_BLC = of_layers(rules, "expired", spans.kept(span_BLC), age_BLC + 1)
    alive_BL = (mask_BLHC > 0).any(2).sum(-1)
    return Reading(x, span_BL, birth_BLC, birth_BLC.masked_fill(dead_BLC, ABSENT), alive_BL, attention)


def sight(
    layers: Sequence[TransformerLayer],
    birth_BLC: Tensor,
    time_B: Tensor,
    span_BLC: Tensor,
    spans: SpanOverride,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of all slots: ages, soft masks (B, L, H or 1, C), and ages as positions, M for all that has none."""
    rules, M = [layer.rule for layer in layers], layers[0].position.shape[1]
    age_BLC = torch.where(birth_BLC < 0, FAR, time_B[:, None, None] - birth_BLC)
    reach_BLHC = of_layers(rules, "reach", spans.read(span_BLC))
    mask_BLHC = soft_mask(reach_BLHC - age_BLC[:, :, None], rules[0].ramp)
    near_BLC = age_BLC.clamp(max=M)
    if rules[0].factor:  # summaries have no position
        near_BLC = near_BLC.masked_fill(rules[0].first_age(span_BLC) > 0, M)
    return age_BLC, mask_BLHC, near_BLC


def read_and_write_in_c(
    layers: Sequence[TransformerLayer],
    x_BD: Tensor,
    time_B: Tensor,
    forget_B: Tensor,
    slots: Slots,
    spans: SpanOverride,
) -> Reading:
    """The same on CPUs, for rules that do not sum up: all but the linear maps by one call of C per layer."""
    store, birth_BLC, slot = slots.store, slots.birth_BLC, slots.used
    after_BLC = torch.full_like(birth_BLC, ABSENT)
    alive_BL = birth_BLC.new_empty(birth_BLC.shape[:2])

    def attend(i: int, x_BD: Tensor, p: Tensor, span_B: Tensor) -> Tensor:
        layer, (k, v), lead = layers[i], store.kv[i], slots.lead(i)
        rule, span_BC = layer.rule, store.span_BLC[:, i, lead:]
        store.span_BLC[:, i, slot] = span_B
        read, kept = spans.read(span_BC), spans.kept(span_BC)
        given = StepInputs(
            *(p.to(k.dtype), x_BD.to(k.dtype), store.h[i], k, v, slot - lead),
            *(birth_BLC[:, i, lead:], time_B, forget_B),
            *(rule.reach(read), None if kept is read else rule.reach(kept), rule.ramp),
            layer.position.shape[1],
        )
        return step_in_c(given, after_BLC[:, i, lead:], alive_BL[:, i]).to(p.dtype)

    x = x_BD
    for i, layer in enumerate(layers):
        x = layer.step(x, store.projections[i], partial(attend, i, x))
    return Reading(x, store.span_BLC[..., slot].clone(), birth_BLC, after_BLC, alive_BL, [])


def of_layers(rules: Sequence[Rule], method: str, *tensors_BLC: Tensor) -> Tensor:
    """What a method of the rules gives for all layers, (B, L, ...): by one call where the layers agree."""
    if rules[0].layers_agree:
        found: Tensor = getattr(rules[0], method)(*tensors_BLC)
        return found
    return torch.stack([getattr(r, method)(*(t[:, i] for t in tensors_BLC)) for i, r in enumerate(rules)], 1)


def sum_up(
    layers: Sequence[TransformerLayer], slots: Slots, birth_BLC: Tensor, kept_BLC: Tensor, time_B: Tensor
) -> None:
    """Write the summaries that fall due with the next step to the next slot, or an absent one."""
    store, slot = slots.store, slots.store.used
    store.used = slot + 1
    for i, layer in enumerate(layers):
        lead = slots.lead(i)
        birth_BS = birth_BLC[:, i, lead:slot]
        place_BS, episode_BS = birth_BS - time_B[:, None], (birth_BS != ABSENT).long() - 1
        columns = Columns(store.h[i][:, : slot - lead], place_BS, episode_BS, store.span_BLC[:, i, lead:slot])
        made = layer.rule.summaries(columns, -time_B[:, None].expand_as(place_BS), 1)
        assert made is not None
        h_BD, place_B, episode_B, span_B = (t[:, 0] for t in made.columns)
        _, k, v, _ = layer.project(h_BD[:, None])
        store.h[i][:, slot - lead] = h_BD
        store.kv[i][0][..., slot - lead] = k[:, 0]
        store.kv[i][1][:, :, slot - lead] = v[:, 0]
        store.span_BLC[:, i, slot] = span_B
        kept_BLC[:, i, slot] = (place_B + time_B).masked_fill(episode_B < 0, ABSENT)


def _by_birth(weights_BH1C: Tensor, birth_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Attention and births with the oldest first, without the slots that are empty in all rows."""
    order_BC = birth_BC.argsort(dim=1, stable=True)[:, int((birth_BC < 0).sum(1).amin()) :]
    index = order_BC[:, None, None].expand(-1, weights_BH1C.shape[1], 1, -1)
    return weights_BH1C.gather(-1, index), birth_BC.gather(1, order_BC)
