"""TransformerMemory: a causal Transformer whose past is governed by a rule for forgetting.

Pre-norm layers as in GTrXL (arXiv 1910.06764); a learned relative position for the last ``positions`` steps and
none beyond, so that nothing depends on the length of an episode. What is kept of the past are the layer's input
states h; keys, values and spans are recomputed from them under the present weights when learning, and cached
when acting.

Letters: B environments, T new steps, S remembered, K = S + T keys, D width, H heads, d = D / H, M positions.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from expirespan.memory.cache import ABSENT, LayerCache
from expirespan.memory.core import Memory, MemoryOutput, Trace
from expirespan.memory.expire_span import logistic_log_mask
from expirespan.memory.gates import GATES
from expirespan.memory.grouping import join, width_groups
from expirespan.memory.rule import Rule, require
from expirespan.memory.transformer_state import TransformerState


class _LayerOutput(NamedTuple):
    y_BTD: Tensor
    cache: LayerCache
    penalty: Tensor
    span_BT: Tensor
    alive_BT: Tensor
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

    def attend(self, x_BTD: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Output of the layer for stream ``x``, given queries, keys, values and additive ``bias`` (B, H, T, K)."""
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x_BTD = self.gates[0](x_BTD, self.out(read.transpose(1, 2).flatten(2)))
        out: Tensor = self.gates[1](x_BTD, self.ff(x_BTD))
        return out

    def step(self, x_BD: Tensor, state: TransformerState, cache: LayerCache) -> _LayerOutput:
        """One step on cached keys; ``state.time_B`` is the clock of this step."""
        n_B1D, k, v, span_B1 = self.project(x_BD[:, None])
        cache = cache.append(state.time_B, span_B1[:, 0], x_BD, k[:, :, 0], v[:, :, 0])
        age_BS = state.time_B[:, None] - cache.birth_BS
        here_BS = cache.birth_BS != ABSENT
        age = age_BS.to(x_BD.dtype)
        mask_BS = self.rule.log_mask(state.altered(cache.span_BS), age).masked_fill(~here_BS, -torch.inf)
        q = self._split(self.query(n_B1D))
        positions = self.position.shape[1]
        by_age = q @ self.position.transpose(1, 2) / math.sqrt(q.shape[-1])
        by_age = F.pad(by_age, (0, 1))  # (B, H, 1, M + 1): none beyond M - 1
        index = age_BS.clamp(0, positions)[:, None, None].expand(-1, self.heads, 1, -1)
        bias = by_age.gather(-1, index) + mask_BS[:, None, None]
        keys, values = cache.kv
        y = self.attend(x_BD[:, None], q, keys, values, bias)
        dead_BS = self.rule.expired(state.kept(cache.span_BS), age + 1)
        cache = replace(cache, birth_BS=cache.birth_BS.masked_fill(dead_BS, ABSENT))
        return _LayerOutput(
            y[:, 0], cache, y.new_zeros(()), span_B1, (mask_BS > -torch.inf).sum(1, keepdim=True), None
        )

    def unroll(
        self, x_BTD: Tensor, state: TransformerState, cache: LayerCache, clock: _Clock, need: bool
    ) -> _LayerOutput:
        """T steps at once; ``state`` and ``cache`` are those before the first."""
        T, S = x_BTD.shape[1], cache.width
        h_BKD = torch.cat([cache.h_BSD, x_BTD], 1)
        n_BKD, k, v, span_BK = self.project(h_BKD)
        here_BS = cache.birth_BS != ABSENT
        place_BS = cache.birth_BS - state.time_B[:, None]  # timesteps counted from the start of the block
        place_BK = torch.cat([place_BS, clock.place_T.expand(x_BTD.shape[0], -1)], 1)
        episode_BK = torch.cat([here_BS.long() - 1, clock.episode_BT], 1)  # -1 absent, 0 went on from before
        age_BTK = clock.place_T[None, :, None] - place_BK[:, None]
        visible_BTK = (clock.episode_BT[:, :, None] == episode_BK[:, None]) & (age_BTK >= 0)
        read_BK = state.altered(span_BK)
        mask_BTK = self.rule.log_mask(read_BK[:, None], age_BTK.to(x_BTD.dtype))
        soft_B11 = state.softness_B[:, None, None]
        if bool(soft_B11.any()):
            logistic_BTK = logistic_log_mask(
                read_BK[:, None] - age_BTK, torch.where(soft_B11 > 0, soft_B11, 1)
            )
            mask_BTK = torch.where(soft_B11 > 0, logistic_BTK, mask_BTK)
        mask_BTK = mask_BTK.masked_fill(~visible_BTK, -torch.inf)
        q = self._split(self.query(n_BKD[:, S:]))
        bias = (
            self.relative(q, place_BS.masked_fill(~here_BS, ABSENT - self.position.shape[1]))
            + mask_BTK[:, None]
        )
        y_BTD = self.attend(x_BTD, q, k, v, bias)
        attention = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + bias, -1) if need else None

        keep_BK = (episode_BK == clock.episode_BT[:, -1:]) & ~self.rule.expired(
            state.kept(span_BK), T - place_BK
        )
        birth_BK = (place_BK - T + clock.time_B[:, None]).masked_fill(~keep_BK, ABSENT)
        survivors = LayerCache.of(birth_BK, span_BK, h_BKD).compact()
        penalty = self.rule.penalty(span_BK, age_BTK, visible_BTK)
        alive_BT = (mask_BTK.detach() > -torch.inf).sum(-1)
        return _LayerOutput(y_BTD, survivors, penalty, span_BK[:, S:], alive_BT, attention)

    def relative(self, q_BHTd: Tensor, place_BS: Tensor) -> Tensor:
        """Scores q . p_age / sqrt(d) of queries with keys, (B, H, T, K); 0 for ages of ``positions`` and more.

        The score of query t with age a is that of the timeline's step t - a. One relative shift brings all queries
        onto the timeline: M - 1 steps before the block, then the block itself; a memory from before the block then
        picks its step. Nothing of size T x M x S is made.
        """
        B, H, T, d = q_BHTd.shape
        M = self.position.shape[1]
        by_age = q_BHTd @ self.position.transpose(1, 2) / math.sqrt(d)
        shifted = F.pad(by_age.flip(-1), (0, T)).flatten(2)[..., : T * (M + T - 1)].view(B, H, T, M + T - 1)
        before, block = shifted.split([M - 1, T], -1)
        offset = place_BS + M - 1  # column of `before`; memories older than that, and absent ones, match none
        picks = (offset[:, None] == torch.arange(M - 1, device=offset.device)[:, None]).to(q_BHTd.dtype)
        return torch.cat([before @ picks[:, None], block], -1)


class _Clock(NamedTuple):
    """Time within a block: step numbers, episode numbers (0 the one under way before), and the clock after it."""

    place_T: Tensor
    episode_BT: Tensor
    time_B: Tensor

    @classmethod
    def of(cls, time_B: Tensor, start_BT: Tensor) -> Self:
        T = start_BT.shape[1]
        place_T = torch.arange(T, device=start_BT.device)
        episode_BT = start_BT.long().cumsum(1)
        last_start = torch.where(start_BT, place_T, -1).amax(1)
        return cls(place_T, episode_BT, torch.where(last_start >= 0, T - last_start, time_B + T))


class TransformerMemory(Memory[TransformerState]):
    """Stack of Transformer layers, each with its own copy of ``rule`` deciding what it still remembers.

    ``width``: D, of inputs, outputs and states. ``layers``, ``heads``: their numbers; heads must divide width.
    ``rule``: `ExpireSpan`, `FixedWindow` or another `Rule`. ``gate``: "residual" or "gru" (GTrXL).
    ``ff_width``: of the feed-forward block, default 2 * width. ``positions``: M, steps with a learned relative
    position. ``output_scale``: components of the output start at about this size.
    """

    def __init__(
        self,
        width: int,
        layers: int = 2,
        heads: int = 4,
        rule: Rule | None = None,
        gate: Literal["residual", "gru"] = "residual",
        ff_width: int | None = None,
        positions: int = 16,
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        require(
            isinstance(rule, Rule), "rule", rule, "a rule for forgetting, such as ExpireSpan(max_span=256)"
        )
        assert rule is not None
        require(width >= 1, "width", width, "an integer >= 1")
        require(layers >= 1, "layers", layers, "an integer >= 1")
        require(heads >= 1 and width % heads == 0, "heads", heads, f"a divisor of width={width}")
        require(gate in GATES, "gate", gate, f"one of {', '.join(GATES)}")
        require(ff_width is None or ff_width >= 1, "ff_width", ff_width, "an integer >= 1 or None")
        require(positions >= 1, "positions", positions, "an integer >= 1")
        require(0 < output_scale < math.inf, "output_scale", output_scale, "a finite number > 0")
        self.width = width
        self.layers = nn.ModuleList()
        for _ in range(layers):
            own = copy.deepcopy(rule)
            own.attach(width)
            self.layers.append(TransformerLayer(width, heads, own, gate, ff_width or 2 * width, positions))
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, output_scale)

    @property
    def rules(self) -> list[Rule]:
        """The rule of each layer."""
        return [layer.rule for layer in self._layers]

    @property
    def _layers(self) -> list[TransformerLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    def initial_state(self, batch_size: int) -> TransformerState:
        """No memories; the clock at 0."""
        weight = self.norm.weight
        time = torch.zeros(batch_size, dtype=torch.long, device=weight.device)
        zero = weight.new_zeros(batch_size)
        h = weight.new_zeros(batch_size, 0, self.width)
        birth = time.new_zeros(batch_size, 0)
        empty = LayerCache.of(birth, h[..., 0], h)
        return TransformerState(
            time, zero, zero + math.inf, zero + 1, zero.clone(), (empty,) * len(self.layers)
        )

    @torch.no_grad()
    def refresh(self, state: TransformerState) -> TransformerState:
        """Project keys, values and spans of the kept states under the present weights."""
        fresh = []
        for layer, cache in zip(self._layers, state.compact().layers, strict=True):
            _, k, v, span_BS = layer.project(cache.h_BSD)
            fresh.append(LayerCache.of(cache.birth_BS, span_BS, cache.h_BSD, k.contiguous(), v.contiguous()))
        return replace(state, layers=tuple(fresh))

    @torch.no_grad()
    def step(
        self, x_BD: Tensor, state: TransformerState, episode_start_B: Tensor
    ) -> MemoryOutput[TransformerState]:
        """One step on cached keys and values; what can no longer be read is deleted."""
        self.check_input(x_BD, state, episode_start_B, axes=2)
        if not all(cache.has_keys for cache in state.layers):
            state = self.refresh(state)
        forget = episode_start_B.bool()
        state = replace(state, time_B=state.time_B.masked_fill(forget, 0))
        outs = []
        x = x_BD
        for layer, cache in zip(self._layers, state.layers, strict=True):
            cache = replace(cache, birth_BS=cache.birth_BS.masked_fill(forget[:, None], ABSENT))
            outs.append(layer.step(x, state, cache))
            x = outs[-1].y_BTD
        return self._output(x, replace(state, time_B=state.time_B + 1), outs)

    def unroll(
        self, x_BTD: Tensor, state: TransformerState, episode_start_BT: Tensor, need_attention: bool = False
    ) -> MemoryOutput[TransformerState]:
        """T steps at once, each query over all the keys that the rule lets it read."""
        self.check_input(x_BTD, state, episode_start_BT, axes=3)
        groups = [] if need_attention else width_groups(state.widest(), x_BTD.shape[1])
        if len(groups) < 2:
            return self._unroll(x_BTD, state, episode_start_BT, need_attention)
        outs = [
            self._unroll(x_BTD[rows], state[rows].compact(), episode_start_BT[rows], False) for rows in groups
        ]
        return join(outs, groups)

    def _unroll(
        self, x_BTD: Tensor, state: TransformerState, episode_start_BT: Tensor, need_attention: bool
    ) -> MemoryOutput[TransformerState]:
        clock = _Clock.of(state.time_B, episode_start_BT.bool())
        outs = []
        x = x_BTD
        for layer, cache in zip(self._layers, state.layers, strict=True):
            outs.append(layer.unroll(x, state, cache, clock, need_attention))
            x = outs[-1].y_BTD
        return self._output(x, replace(state, time_B=clock.time_B), outs)

    def _output(
        self, x: Tensor, state: TransformerState, outs: list[_LayerOutput]
    ) -> MemoryOutput[TransformerState]:
        state = replace(state, layers=tuple(out.cache for out in outs))
        weights = [out.attention for out in outs if out.attention is not None]
        trace = Trace(
            spans=[out.span_BT.detach() for out in outs],
            alive=[out.alive_BT for out in outs],
            births=[out.cache.birth_BS for out in outs],
            attention=weights or None,
        )
        y: Tensor = self.norm(x)
        return MemoryOutput(y, state, torch.stack([out.penalty for out in outs]), trace)

    def shorten(self, state: TransformerState, generator: torch.Generator | None = None) -> TransformerState:
        """Draw l ~ U(0, L) per environment; until the next call spans are read as l at most.

        For rules with ``random_span``. Call it once per block; acting and learning on the block then agree. Nothing
        is deleted because of it.
        """
        if not any(rule.random_span for rule in self.rules):
            return state
        longest = max(rule.max_span for rule in self.rules)
        limit = torch.rand(state.batch_size, generator=generator) * longest
        return replace(state, limit_B=limit.to(state.limit_B))
