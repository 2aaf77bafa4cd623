"""One layer of a `TransformerMemory`: attention over what the rule lets it read, and a feed-forward block.

What is kept of the past are the layer's input states h; keys, values and spans are recomputed from them under the
present weights when learning, and cached when acting.

Letters: B environments, T new steps, S remembered, K = S + T keys, D width, H heads, d = D / H, M positions. Rules that
sum up what expires add G summaries to the keys.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from expirespan.memory.cache import ABSENT, LayerCache
from expirespan.memory.core import Reading
from expirespan.memory.counterfactual import counterfactual_attention
from expirespan.memory.expire_span import ExpireSpan, taught_mask
from expirespan.memory.gates import GATES
from expirespan.memory.rule import Columns, KeysValues, Rule
from expirespan.memory.transformer_state import TransformerState


class LayerOutput(NamedTuple):
    """Of T steps; ``auxiliary`` is the loss by which the rule learns to sum up, ``keys_BK`` the births of what the
    ``attention`` of a step is over.
    """

    y_BTD: Tensor
    cache: LayerCache
    penalty: Tensor
    span_BT: Tensor
    alive_BT: Tensor
    attention: Tensor | None
    auxiliary: Tensor
    keys_BK: Tensor | None = None
    reading: Reading | None = None


class TransformerLayer(nn.Module):
    """Attention over memories and a feed-forward block, each pre-normalised and joined by a gate."""

    def __init__(self, width: int, heads: int, rule: Rule, gate: str, ff_width: int, positions: int) -> None:
        super().__init__()
        self.heads = heads
        self.rule = rule
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.position = nn.Parameter(torch.randn(heads, positions, width // heads) * 0.02)
        self.ff = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, ff_width), nn.GELU(), nn.Linear(ff_width, width)
        )
        self.gates = nn.ModuleList([GATES[gate](width), GATES[gate](width)])

    def _split(self, x: Tensor) -> Tensor:
        """(B, K, D) -> (B, H, K, d)."""
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)

    def project(self, h_BKD: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised states, keys, values (B, H, K, d) and spans (B, K) of hidden states."""
        n_BKD = self.norm(h_BKD)
        k, v = self.key_value(n_BKD).chunk(2, -1)
        return n_BKD, self._split(k), self._split(v), self.rule.spans(n_BKD)

    def refresh(self, cache: LayerCache) -> LayerCache:
        """Keys, values and spans of the kept states under the present weights."""
        _, k, v, span_BS = self.project(cache.h_BSD)
        span_BS = self.rule.renewed(span_BS, cache.span_BS)
        return LayerCache.of(cache.birth_BS, span_BS, cache.h_BSD, k.contiguous(), v.contiguous())

    def join(self, x_BTD: Tensor, read: Tensor) -> Tensor:
        """Output of the layer for stream ``x``, given what attention read (B, H, T, d)."""
        x_BTD = self.gates[0](x_BTD, self.out(read.transpose(1, 2).flatten(2)))
        out: Tensor = self.gates[1](x_BTD, self.ff(x_BTD))
        return out

    def step(
        self, x_BD: Tensor, state: TransformerState, cache: LayerCache, need_attention: bool = False
    ) -> LayerOutput:
        """One step on cached keys; ``state.time_B`` is the clock of this step."""
        n_B1D, k, v, span_B1 = self.project(x_BD[:, None])
        cache = cache.append(state.time_B, span_B1[:, 0], x_BD, k[:, :, 0], v[:, :, 0])
        age_BS = state.time_B[:, None] - cache.birth_BS
        here_BS = cache.birth_BS != ABSENT
        age = age_BS.to(x_BD.dtype)
        mask = self.rule.log_mask(state.spans.read(cache.span_BS)[:, None, None], age[:, None, None])
        mask = mask.masked_fill(~here_BS[:, None, None], -torch.inf)
        q = self._split(self.query(n_B1D))
        positions = self.position.shape[1]
        by_age = F.pad(self.by_age(q)[:, :, 0], (0, 1))  # (B, H, M + 1): none beyond M - 1
        index_BS = age_BS.clamp(0, positions)
        index_BS = index_BS.masked_fill(self.rule.first_age(cache.span_BS) > 0, positions)
        bias = by_age.gather(-1, index_BS[:, None].expand(-1, self.heads, -1))[:, :, None] + mask
        keys, values = cache.kv
        attention = weights(q, keys, bias)
        y = self.join(x_BD[:, None], attention @ values)
        dead_BS = self.rule.expired(state.spans.kept(cache.span_BS), age + 1)
        kept = replace(cache, birth_BS=cache.birth_BS.masked_fill(dead_BS, ABSENT))
        kept = self._with_summaries(kept, cache, state.time_B)
        none = y.new_zeros(())
        births = cache.birth_BS if need_attention else None
        shown = attention if need_attention else None
        return LayerOutput(y[:, 0], kept, none, span_B1, readable(mask), shown, none, births)

    def _with_summaries(self, kept: LayerCache, cache: LayerCache, time_B: Tensor) -> LayerCache:
        """``kept`` and the summaries that fall due with the next step, made of what ``cache`` still holds."""
        place_BS = cache.birth_BS - time_B[:, None]
        episode_BS = (cache.birth_BS != ABSENT).long() - 1
        columns = Columns(cache.h_BSD, place_BS, episode_BS, cache.span_BS)
        made = self.rule.summaries(columns, -time_B[:, None].expand_as(place_BS), 1)
        if made is None:
            return kept
        h_BD, place_B, episode_B, span_B = (t[:, 0] for t in made.columns)  # no more than one in a step
        _, k, v, _ = self.project(h_BD[:, None])
        return kept.append(
            (place_B + time_B).masked_fill(episode_B < 0, ABSENT), span_B, h_BD, k[:, :, 0], v[:, :, 0]
        )

    def unroll(
        self, x_BTD: Tensor, state: TransformerState, cache: LayerCache, clock: Clock, need_attention: bool
    ) -> LayerOutput:
        """T steps at once; ``state`` and ``cache`` are those before the first."""
        T, S = x_BTD.shape[1], cache.width
        here_BS = cache.birth_BS != ABSENT
        place_BS = cache.birth_BS - state.time_B[:, None]  # timesteps counted from the start of the block
        h_BKD = torch.cat([cache.h_BSD, x_BTD], 1)
        n_BKD, k, v, span_BK = self.project(h_BKD)
        q = self._split(self.query(n_BKD[:, S:]))
        place_BK = torch.cat([place_BS, clock.place_T.expand(x_BTD.shape[0], -1)], 1)
        episode_BK = torch.cat([here_BS.long() - 1, clock.episode_BT], 1)  # -1 absent, 0 went on from before
        keys = Columns(h_BKD, place_BK, episode_BK, span_BK)
        reading = Reading(n_BKD.detach(), span_BK, episode_BK >= 0)
        keys = keys._replace(span_BK=self.rule.renewed(span_BK, cache.span_BS))
        recent_BS = here_BS & (self.rule.first_age(cache.span_BS) == 0)
        begin_BK = torch.cat([-state.time_B[:, None].expand_as(place_BS), clock.begin_BT], 1)
        made = self.rule.summaries(keys, begin_BK, T)
        score = self.relative(q, place_BS.masked_fill(~recent_BS, ABSENT - self.position.shape[1]))
        if made is not None:
            keys = Columns(*(torch.cat(pair, 1) for pair in zip(keys, made.columns, strict=True)))
            _, made_k, made_v, _ = self.project(made.columns.h_BKD)
            k, v = torch.cat([k, made_k], 2), torch.cat([v, made_v], 2)
            score = F.pad(score, (0, made_k.shape[2]))
        age_BTK = clock.place_T[None, :, None] - keys.place_BK[:, None]
        visible_BTK = clock.episode_BT[:, :, None] == keys.episode_BK[:, None]
        visible_BTK = visible_BTK & (age_BTK >= self.rule.first_age(keys.span_BK).unsqueeze(-2))
        age = age_BTK[:, None].to(span_BK.dtype)
        read_BK = state.spans.read(keys.span_BK)
        mask = self.rule.log_mask(read_BK[:, None, None], age).masked_fill(~visible_BTK[:, None], -torch.inf)
        if state.spans.taught:
            read = self._taught(q, k, v, score, read_BK, age, visible_BTK)
        else:
            read = F.scaled_dot_product_attention(q, k, v, attn_mask=score + mask)
        y_BTD = self.join(x_BTD, read)
        attention = weights(q, k, score + mask) if need_attention else None

        ended_BK = self.rule.expired(state.spans.kept(keys.span_BK), T - keys.place_BK)
        keep_BK = (keys.episode_BK == clock.episode_BT[:, -1:]) & ~ended_BK
        birth_BK = (keys.place_BK - T + clock.time_B[:, None]).masked_fill(~keep_BK, ABSENT)
        survivors = LayerCache.of(birth_BK, keys.span_BK, keys.h_BKD).compact()
        penalty = self.rule.span_cost(keys.span_BK, age_BTK, visible_BTK)
        auxiliary = penalty.new_zeros(())
        if made is not None:
            theirs_BTG = clock.episode_BT[:, :, None] == made.columns.episode_BK[:, None]
            auxiliary = self.rule.reconstruction(q.detach(), self._project_frozen, made, theirs_BTG)
        span_BT, alive_BT = keys.span_BK[:, S : S + T], readable(mask)
        return LayerOutput(
            y_BTD, survivors, penalty, span_BT, alive_BT, attention, auxiliary, reading=reading
        )

    def _taught(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        score: Tensor,
        span_BK: Tensor,
        age: Tensor,
        visible_BTK: Tensor,
    ) -> Tensor:
        """What attention reads in a lesson in forgetting: the same, with gradient to every span."""
        assert isinstance(self.rule, ExpireSpan)
        gone = ~visible_BTK[:, None]
        mask = taught_mask(span_BK[:, None, None], age, self.rule.ramp).masked_fill(gone, 0.0)
        score = score + q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return counterfactual_attention(score.masked_fill(gone, -torch.inf), mask, v)

    def _project_frozen(self, h_BKD: Tensor) -> KeysValues:
        """Keys and values under weights that get no gradient."""
        norm, linear = self.norm, self.key_value
        n_BKD = F.layer_norm(h_BKD, norm.normalized_shape, norm.weight.detach(), norm.bias.detach(), norm.eps)
        k, v = F.linear(n_BKD, linear.weight.detach(), linear.bias.detach()).chunk(2, -1)
        return self._split(k), self._split(v)

    def by_age(self, q_BHTd: Tensor) -> Tensor:
        """Scores q . p_age / sqrt(d) of queries with the M positions, (B, H, T, M).

        One product for each head: for a single step eight times faster than one for each environment and head.
        """
        B, H, T, d = q_BHTd.shape
        score = q_BHTd.transpose(0, 1).reshape(H, B * T, d) @ self.position.transpose(1, 2)
        return score.view(H, B, T, -1).transpose(0, 1) / math.sqrt(d)

    def relative(self, q_BHTd: Tensor, place_BS: Tensor) -> Tensor:
        """Scores q . p_age / sqrt(d) of queries with keys, (B, H, T, K); 0 for ages of ``positions`` and more.

        The score of query t with age a is that of the timeline's step t - a. One relative shift brings all queries
        onto the timeline: M - 1 steps before the block, then the block itself; a memory from before the block then
        picks its step. Nothing of size T x M x S is made.
        """
        B, H, T, _ = q_BHTd.shape
        M = self.position.shape[1]
        shifted = (
            F.pad(self.by_age(q_BHTd).flip(-1), (0, T))
            .flatten(2)[..., : T * (M + T - 1)]
            .view(B, H, T, M + T - 1)
        )
        before, block = shifted.split([M - 1, T], -1)
        offset = place_BS + M - 1  # column of `before`; memories older than that, and absent ones, match none
        picks = (offset[:, None] == torch.arange(M - 1, device=offset.device)[:, None]).to(q_BHTd.dtype)
        return torch.cat([before @ picks[:, None], block], -1)


def weights(q: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    """Attention weights (B, H, T, K). For one step faster than the fused computation, which does not return them."""
    B, H, T, d = q.shape
    flat = q.reshape(B * H, T, d), k.flatten(0, 1).transpose(1, 2)
    score = torch.baddbmm(bias.flatten(0, 1), *flat, alpha=1 / math.sqrt(d))
    return torch.softmax(score, -1).view(B, H, T, -1)


def readable(mask_BGTK: Tensor) -> Tensor:
    """(B, T) memories that some head can read."""
    can = mask_BGTK.detach() > -torch.inf
    return (can[:, 0] if can.shape[1] == 1 else can.any(1)).sum(-1)


class Clock(NamedTuple):
    """Time within a block: step numbers, episode numbers (0 the one under way before), where each episode began, and
    the clock after the block.
    """

    place_T: Tensor
    episode_BT: Tensor
    begin_BT: Tensor
    time_B: Tensor

    @classmethod
    def of(cls, time_B: Tensor, start_BT: Tensor) -> Self:
        """Clock of a block that finds the state's clock at ``time_B``."""
        T = start_BT.shape[1]
        place_T = torch.arange(T, device=start_BT.device)
        episode_BT = start_BT.long().cumsum(1)
        begin_BT = torch.where(start_BT, place_T, -time_B[:, None]).cummax(1).values
        return cls(place_T, episode_BT, begin_BT, T - begin_BT[:, -1])
