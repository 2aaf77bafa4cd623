"""One layer of a `TransformerMemory`: attention over what the rule lets it read, and a feed-forward block, each joined
to the stream by a gate: plain addition, or the GRU gate of GTrXL.

What is kept of the past are the layer's input states h; keys, values and spans are recomputed from them under the
present weights when learning, and stored when acting.

Letters: B environments, T new steps, S remembered, K = S + T keys, D width, H heads, d = D / H, M positions. Rules that
sum up what expires add G summaries to the keys.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from expirespan.memory.attention import attend, counterfactual_attention, near_ages, scores, weights
from expirespan.memory.block import Block
from expirespan.memory.core import Reading
from expirespan.memory.expire_span import ExpireSpan, taught_mask
from expirespan.memory.rule import FAR, Columns, KeysValues, Rule
from expirespan.memory.slots import ABSENT, LayerMemories
from expirespan.memory.transformer_state import SpanOverride


class ResidualGate(nn.Module):
    """x + y."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Join stream ``x`` and sublayer output ``y`` (same shape)."""
        return x + y


class GRUGate(nn.Module):
    """GRU-type gating of GTrXL (Parisotto et al. 2020, arXiv 1910.06764, section 3.2).

    r = s(Wr y + Ur x), z = s(Wz y + Uz x - bg), c = tanh(Wg y + Ug (r * x)), output (1 - z) x + z c; bg starts at
    2, so that the layer begins close to the identity. As there, y passes a ReLU first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_y = nn.Linear(width, 3 * width, bias=False)
        self.from_x = nn.Linear(width, 2 * width, bias=False)
        self.from_rx = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.full((width,), 2.0))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Join stream ``x`` and sublayer output ``y`` (same shape)."""
        ry, zy, cy = self.from_y(torch.relu(y)).chunk(3, -1)
        rx, zx = self.from_x(x).chunk(2, -1)
        z = torch.sigmoid(zy + zx - self.bias)
        c = torch.tanh(cy + self.from_rx(torch.sigmoid(ry + rx) * x))
        return (1 - z) * x + z * c


GATES: dict[str, type[nn.Module]] = {"residual": ResidualGate, "gru": GRUGate}


class LayerOutput(NamedTuple):
    """Of a block. ``auxiliary``: the loss by which the rule learns to sum up.

    None unless asked for: the memories ``after`` the block, how many each query could read, the attention.
    """

    y_BTD: Tensor
    span_BT: Tensor
    penalty: Tensor
    reading: Reading
    auxiliary: Tensor
    after: LayerMemories | None
    alive_BT: Tensor | None
    attention: Tensor | None


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

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one linear map by which acting gets a query / sqrt(d), a key, a value and, per head,
        the query's scores with the M positions and 0 for all that is older.
        """
        H, _, d = self.position.shape
        scale = 1 / math.sqrt(d)
        weight, bias = self.query.weight * scale, self.query.bias * scale
        by_age = torch.einsum("hmd,hdk->hmk", self.position, weight.view(H, d, -1))
        by_age_bias = torch.einsum("hmd,hd->hm", self.position, bias.view(H, d))
        rows = F.pad(by_age, (0, 0, 0, 1)).flatten(0, 1)
        return (
            torch.cat([weight, self.key_value.weight, rows]),
            torch.cat([bias, self.key_value.bias, F.pad(by_age_bias, (0, 1)).flatten()]),
        )

    def join(self, x: Tensor, read: Tensor) -> Tensor:
        """Output of the layer for stream ``x``, given what attention read (of the same shape)."""
        x = self.gates[0](x, self.out(read))
        out: Tensor = self.gates[1](x, self.ff(x))
        return out

    def step(
        self,
        x_BD: Tensor,
        projection: tuple[Tensor, Tensor],
        h_BCD: Tensor,
        kv: tuple[Tensor, Tensor],
        place: slice | Tensor,
        log_mask: Tensor,
        near_BC: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step: output (B, D), the span (B,) given to what is written to slot ``place``, attention (B, H, 1, C).

        ``log_mask`` (B, 1 or H, C); ``near_BC``: ages, at most M.
        """
        B, H, (k, v) = len(x_BD), self.heads, kv
        M, d = self.position.shape[1:]
        n_BD = self.norm(x_BD)
        q, key, value, by_age = F.linear(n_BD, *projection).split([H * d, H * d, H * d, H * (M + 1)], -1)
        h_BCD[:, place] = x_BD[:, None]
        k[:, :, place] = key.view(B, H, 1, d)
        v[:, :, place] = value.view(B, H, 1, d)
        bias = by_age.view(B, H, M + 1).gather(-1, near_BC[:, None].expand(-1, H, -1)) + log_mask
        score = torch.baddbmm(
            bias.view(B * H, 1, -1), q.reshape(B * H, 1, d), k.flatten(0, 1).transpose(1, 2)
        )
        attention = torch.softmax(score, -1)
        read = torch.bmm(attention, v.flatten(0, 1)).view(B, H * d)
        return self.join(x_BD, read), self.rule.spans(n_BD[:, None])[:, 0], attention.view(B, H, 1, -1)

    def unroll(
        self,
        x_BTD: Tensor,
        before: LayerMemories,
        override: SpanOverride,
        block: Block,
        need_attention: bool,
        need_state: bool,
    ) -> LayerOutput:
        """T steps at once, with the memories ``before`` the first."""
        T, S = x_BTD.shape[1], before.birth_BS.shape[1]
        h_BKD = torch.cat([before.h_BSD, x_BTD], 1)
        n_BKD, k, v, span_BK = self.project(h_BKD)
        q = self._split(self.query(n_BKD[:, S:]))
        reading = Reading(n_BKD.detach(), span_BK, F.pad(before.birth_BS != ABSENT, (0, T), value=True))
        span_BK = self.rule.renewed(span_BK, before.span_BS)
        age_BTK = block.ages(before.birth_BS, span_BK.dtype)
        M = self.position.shape[1]
        near = near_ages(age_BTK, S, M)
        made, columns = None, None
        if self.rule.factor:
            summary_BS = self.rule.first_age(before.span_BS) > 0
            near[:, :, :S].masked_fill_(summary_BS[:, None], M)
            columns = block.columns(h_BKD, before.birth_BS, span_BK)
            made = self.rule.summaries(columns, block.begins(S), T)
        if made is not None:
            columns = Columns(*(torch.cat(pair, 1) for pair in zip(columns or (), made.columns, strict=True)))
            _, made_k, made_v, _ = self.project(made.columns.h_BKD)
            k, v = torch.cat([k, made_k], 2), torch.cat([v, made_v], 2)
            span_BK = columns.span_BK
            age_BTK = torch.cat([age_BTK, block.ages_of(made.columns).to(age_BTK)], -1)
            age_BTK = age_BTK.masked_fill(age_BTK < self.rule.first_age(span_BK)[:, None], FAR)
        read_BK = override.read(span_BK)
        log_mask = self._log_mask(read_BK, age_BTK)
        by_age = self.by_age(q)
        if override.taught:
            score = scores(q, k, by_age, near, S)
            read = self._taught(score, v, read_BK, age_BTK[:, None])
        else:
            read = attend(q, k, v, by_age, log_mask, near, S)
        y_BTD = self.join(x_BTD, read.transpose(1, 2).flatten(2))
        penalty = self.rule.span_cost(span_BK, age_BTK)
        auxiliary = penalty.new_zeros(())
        if made is not None:
            theirs_BTG = block.episode_BT[:, :, None] == made.columns.episode_BK[:, None]
            auxiliary = self.rule.reconstruction(q.detach(), self._project_frozen, made, theirs_BTG)
        after = alive_BT = None
        if need_state:
            columns = columns or block.columns(h_BKD, before.birth_BS, span_BK)
            after = block.survivors(columns, self.rule.expired(override.kept(span_BK), T - columns.place_BK))
            alive_BT = readable(log_mask)
        attention = weights(q, k, by_age, log_mask, near, S) if need_attention else None
        return LayerOutput(
            y_BTD, span_BK[:, S : S + T], penalty, reading, auxiliary, after, alive_BT, attention
        )

    def _log_mask(self, span_BK: Tensor, age_BTK: Tensor) -> Tensor:
        """(B, 1 or H, T, K)."""
        age = age_BTK[:, None]
        mask = self.rule.log_mask(span_BK[:, None, None], age)
        return mask if self.rule.elementwise else mask.masked_fill(age >= FAR, -torch.inf)

    def _taught(self, score: Tensor, v: Tensor, span_BK: Tensor, age: Tensor) -> Tensor:
        """What attention reads in a lesson in forgetting: the same, with gradient to every span."""
        assert isinstance(self.rule, ExpireSpan)
        gone = age >= FAR
        mask = taught_mask(span_BK[:, None, None], age, self.rule.ramp).masked_fill(gone, 0.0)
        return counterfactual_attention(score.masked_fill(gone, -torch.inf), mask, v)

    def _project_frozen(self, h_BKD: Tensor) -> KeysValues:
        """Keys and values under weights that get no gradient."""
        norm, linear = self.norm, self.key_value
        n_BKD = F.layer_norm(h_BKD, norm.normalized_shape, norm.weight.detach(), norm.bias.detach(), norm.eps)
        k, v = F.linear(n_BKD, linear.weight.detach(), linear.bias.detach()).chunk(2, -1)
        return self._split(k), self._split(v)

    def by_age(self, q_BHTd: Tensor) -> Tensor:
        """Scores q . p_age / sqrt(d) of queries with the M positions, (B, H, T, M)."""
        B, H, T, d = q_BHTd.shape
        score = q_BHTd.transpose(0, 1).reshape(H, B * T, d) @ (self.position / math.sqrt(d)).transpose(1, 2)
        return score.view(H, B, T, -1).transpose(0, 1)


def readable(mask_BGTK: Tensor) -> Tensor:
    """(B, T) memories that some head can read."""
    can = mask_BGTK.detach() > -torch.inf
    return (can[:, 0] if can.shape[1] == 1 else can.any(1)).sum(-1)
