"""TransformerMemory: a causal Transformer whose past is governed by a rule for forgetting.

Pre-norm layers as in GTrXL (arXiv 1910.06764); a learned relative position for the last ``positions`` steps and
none beyond, so that nothing depends on the length of an episode. What a layer does is in `transformer_layer.py`.

Letters: B environments, T new steps, S remembered, D width.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from expirespan.memory.cache import ABSENT, LayerCache
from expirespan.memory.core import Memory, MemoryOutput, Trace
from expirespan.memory.gates import GATES
from expirespan.memory.grouping import join, width_groups
from expirespan.memory.rule import Rule, require
from expirespan.memory.transformer_layer import Clock, LayerOutput, TransformerLayer
from expirespan.memory.transformer_state import SpanOverride, TransformerState


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
            own.attach(width, heads)
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
        h = weight.new_zeros(batch_size, 0, self.width)
        birth = time.new_zeros(batch_size, 0)
        empty = LayerCache.of(birth, h[..., 0], h)
        spans = SpanOverride.of(weight.new_zeros(batch_size))
        return TransformerState(time, spans, (empty,) * len(self.layers))

    @torch.no_grad()
    def refresh(self, state: TransformerState) -> TransformerState:
        """Project keys, values and spans of the kept states under the present weights."""
        pairs = zip(self._layers, state.compact().layers, strict=True)
        return replace(state, layers=tuple(layer.refresh(cache) for layer, cache in pairs))

    @torch.no_grad()
    def step(
        self, x_BD: Tensor, state: TransformerState, episode_start_B: Tensor, need_attention: bool = False
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
            outs.append(layer.step(x, state, cache, need_attention))
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
        clock = Clock.of(state.time_B, episode_start_BT.bool())
        outs = []
        x = x_BTD
        for layer, cache in zip(self._layers, state.layers, strict=True):
            outs.append(layer.unroll(x, state, cache, clock, need_attention))
            x = outs[-1].y_BTD
        return self._output(x, replace(state, time_B=clock.time_B), outs)

    def _output(
        self, x: Tensor, state: TransformerState, outs: list[LayerOutput]
    ) -> MemoryOutput[TransformerState]:
        state = replace(state, layers=tuple(out.cache for out in outs))
        weights = [out.attention for out in outs if out.attention is not None]
        keys = [out.keys_BK for out in outs if out.keys_BK is not None]
        trace = Trace(
            spans=[out.span_BT.detach() for out in outs],
            alive=[out.alive_BT for out in outs],
            births=[out.cache.birth_BS for out in outs],
            attention=weights or None,
            keys=keys or None,
        )
        y: Tensor = self.norm(x)
        penalty = torch.stack([out.penalty for out in outs])
        readings = [[out.reading] for out in outs if out.reading is not None]
        return MemoryOutput(y, state, penalty, trace, torch.stack([out.auxiliary for out in outs]), readings)

    def shorten(self, state: TransformerState, generator: torch.Generator | None = None) -> TransformerState:
        """Draw l ~ U(0, L) per environment; until the next call spans are read as l at most.

        For rules with ``random_span``. Call it once per block; acting and learning on the block then agree. Nothing
        is deleted because of it.
        """
        if not any(rule.random_span for rule in self.rules):
            return state
        longest = max(rule.max_span for rule in self.rules)
        limit = torch.rand(state.batch_size, generator=generator) * longest
        spans = replace(state.spans, limit_B=limit.to(state.spans.limit_B))
        return replace(state, spans=spans)
