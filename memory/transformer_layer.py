"""One layer of a `TransformerMemory`: attention over what the rule lets it read, and a feed-forward block, each joined
to the stream by a gate: plain addition, or the GRU gate of GTrXL.

What is kept of the past are the layer's input states h; keys, values and spans are recomputed from them under the
present weights when learning, and stored when acting.

Letters: B environments, T new steps, S remembered, K = S + T keys, D width, H heads, d = D / H, M positions. Rules that
sum up what expires add G summaries to the keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from expirespan.memory.attention import (
    Inputs,
    attend,
    counterfactual_attention,
    scores,
    weights,
)
from expirespan.memory.block import Block
from expirespan.memory.core import Reading
from expirespan.memory.rules.expire_span import ExpireSpan
from expirespan.memory.rules.mask import is_expired, taught_mask
from expirespan.memory.rules.rule import FAR, Columns, KeysValues, Rule
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

    def __init__(
        self,
        width: int,
        heads: int,
        rule: Rule,
        gate: str,
        ff_width: int,
        positions: int,
        kernel: str,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.rule = rule
        self.kernel = kernel
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
        """(B, K, D) -> (B, K, H, d)."""
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads

    def project(self, h_BKD: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised states, keys, values (B, K, H, d) and spans (B, K) of hidden states."""
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
        self, x_BD: Tensor, projection: tuple[Tensor, Tensor], attend: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """One step: output (B, D). ``attend``: what is read (B, D), of the projected input and its span (B,)."""
        n_BD = self.norm(x_BD)
        span_B = self.rule.spans(n_BD[:, None])[:, 0]
        return self.join(x_BD, attend(F.linear(n_BD, *projection), span_B))

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
        T, S, rule = x_BTD.shape[1], before.birth_BS.shape[1], self.rule
        h_BKD = torch.cat([before.h_BSD, x_BTD], 1)
        n_BKD, k, v, span_BK = self.project(h_BKD)
        q = self._split(self.query(n_BKD[:, S:]))
        reading = Reading(n_BKD.detach(), span_BK, F.pad(before.birth_BS != ABSENT, (0, T), value=True))
        span_BK = rule.renewed(span_BK, before.span_BS)
        sight, made, columns = block.sight(before.birth_BS), None, None
        if rule.factor:
            columns = block.columns(h_BKD, before.birth_BS, span_BK)
            made = rule.summaries(columns, block.begins(S), T)
        if made is not None:
            columns = Columns(*(torch.cat(pair, 1) for pair in zip(columns or (), made.columns, strict=True)))
            _, made_k, made_v, _ = self.project(made.columns.h_BKD)
            k, v = torch.cat([k, made_k], 1), torch.cat([v, made_v], 1)
            span_BK = columns.span_BK
            place_BK = columns.place_BK.masked_fill(columns.episode_BK < 0, -FAR)
            sight = sight._replace(place_BK=place_BK, youngest_BK=rule.first_age(span_BK).long())
        read_BK = override.read(span_BK)
        inputs = Inputs(q, k, v, self.by_age(q), rule.reach(read_BK), sight, rule.ramp)
        read = self._taught(inputs, read_BK) if override.taught else attend(inputs, self.kernel)
        y_BTD = self.join(x_BTD, read.flatten(2))
        penalty = rule.span_cost(span_BK, T, lambda: sight.ages(span_BK.dtype))
        auxiliary = penalty.new_zeros(())
        if made is not None:
            theirs_BTG = block.episode_BT[:, :, None] == made.columns.episode_BK[:, None]
            auxiliary = rule.reconstruction(
                q.detach().transpose(1, 2), self._project_frozen, made, theirs_BTG
            )
        after = alive_BT = None
        if need_state:
            columns = columns or block.columns(h_BKD, before.birth_BS, span_BK)
            after = block.survivors(columns, rule.expired(override.kept(span_BK), T - columns.place_BK))
            alive_BT = readable(inputs)
        attention = weights(inputs) if need_attention else None
        return LayerOutput(
            *(y_BTD, span_BK[:, S : S + T], penalty, reading, auxiliary),
            *(after, alive_BT, attention),
        )

    def _taught(self, inputs: Inputs, span_BK: Tensor) -> Tensor:
        """What attention reads in a lesson in forgetting: the same, with gradient to every span."""
        assert isinstance(self.rule, ExpireSpan)
        score, age_BTK = scores(inputs)
        gone = age_BTK[:, None] >= FAR
        mask = taught_mask(span_BK[:, None, None], age_BTK[:, None], self.rule.ramp).masked_fill(gone, 0.0)
        v_BHKd = inputs.v.transpose(1, 2)
        return counterfactual_attention(score.masked_fill(gone, -torch.inf), mask, v_BHKd).transpose(1, 2)

    def _project_frozen(self, h_BKD: Tensor) -> KeysValues:
        """Keys and values under weights that get no gradient."""
        norm, linear = self.norm, self.key_value
        n_BKD = F.layer_norm(h_BKD, norm.normalized_shape, norm.weight.detach(), norm.bias.detach(), norm.eps)
        k, v = F.linear(n_BKD, linear.weight.detach(), linear.bias.detach()).chunk(2, -1)
        return self._split(k).transpose(1, 2), self._split(v).transpose(1, 2)

    def by_age(self, q_BTHd: Tensor) -> Tensor:
        """Scores q . p_age / sqrt(d) of queries with the M positions, (B, T, H, M)."""
        q_HNd = q_BTHd.flatten(0, 1).transpose(0, 1)
        score_HNM = q_HNd @ (self.position / math.sqrt(q_BTHd.shape[-1])).transpose(1, 2)
        return score_HNM.transpose(0, 1).view(*q_BTHd.shape[:3], -1)


def readable(inputs: Inputs) -> Tensor:
    """(B, T) memories that some head can read."""
    ages_BTK = inputs.sight.ages(inputs.reach.dtype)
    reach_B1K = inputs.reach.detach().amax(1, keepdim=True)
    return (~is_expired(reach_B1K - ages_BTK, inputs.ramp)).sum(-1)


def unroll(
    layers: Sequence[TransformerLayer],
    x_BTD: Tensor,
    time_B: Tensor,
    start_BT: Tensor,
    before: Sequence[LayerMemories],
    override: SpanOverride,
    need_attention: bool,
    need_state: bool,
) -> tuple[list[LayerOutput], Tensor]:
    """T steps of all layers, on tensors alone, and the clock (B,) after them."""
    block, outs = Block.of(time_B, start_BT), []
    for layer, memories in zip(layers, before, strict=True):
        outs.append(layer.unroll(x_BTD, memories, override, block, need_attention, need_state))
        x_BTD = outs[-1].y_BTD
    return outs, block.after_B
