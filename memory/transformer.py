"""TransformerMemory: a causal Transformer whose past is governed by a rule for forgetting.

Pre-norm layers as in GTrXL (arXiv 1910.06764); a learned relative position for the last ``positions`` steps and
none beyond, so that nothing depends on the length of an episode. What a layer does is in `transformer_layer.py`.

Letters: B environments, T new steps, S remembered, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from expirespan.memory import acting, compiling
from expirespan.memory.attention import choose_kernel
from expirespan.memory.block import join, width_groups
from expirespan.memory.core import Memory, MemoryOutput, Trace, near
from expirespan.memory.rules.rule import Rule
from expirespan.memory.slots import LayerMemories
from expirespan.memory.transformer_layer import TransformerLayer, unroll
from expirespan.memory.transformer_state import TransformerState
from expirespan.memory.without import step_without
from expirespan.parameters import Heads, Layers, OutputScale, Positions, Width
from expirespan.ranges import checked, require


class TransformerMemory(Memory[TransformerState]):
    """Stack of Transformer layers, each with its own copy of ``rule`` deciding what it still remembers.

    ``width``: D, of inputs, outputs and states. ``layers``, ``heads``: their numbers; heads must divide width.
    ``rule``: `ExpireSpan`, `FixedWindow` or another `Rule`. ``gate``: "residual" or "gru" (GTrXL).
    ``ff_width``: of the feed-forward block, default 2 * width. ``positions``: M, steps with a learned relative
    position. ``output_scale``: components of the output start at about this size.
    ``attention``: "native" (in C, on CPUs), "triton" (on CUDA; PyTorch where tensors are on a CPU, and for acting),
    "plain" (PyTorch) or "auto": native where it can be had.
    ``compile``: let ``torch.compile`` make one program of a step and one of an `unroll`; `compiling.py` states what
    that costs. Needs a C++ compiler on CPUs.

    Raises:
        ValueError: an argument is outside of its range, ``heads`` does not divide ``width``, or ``rule`` is no rule.
    """

    @checked
    def __init__(
        self,
        width: Width,
        layers: Layers = 2,
        heads: Heads = 4,
        rule: Rule | None = None,
        gate: Literal["residual", "gru"] = "residual",
        ff_width: Width | None = None,
        positions: Positions = 16,
        output_scale: OutputScale = 1.0,
        attention: Literal["auto", "native", "plain", "triton"] = "auto",
        compile: bool = False,
    ) -> None:
        super().__init__()
        require(
            isinstance(rule, Rule), "rule", rule, "a rule for forgetting, such as ExpireSpan(max_span=256)"
        )
        assert rule is not None
        require(width % heads == 0, "heads", heads, f"a divisor of width={width}")
        kernel = choose_kernel(attention)
        self.width, self.compiles = width, compile
        self.layers = nn.ModuleList()
        for _ in range(layers):
            own = copy.deepcopy(rule)
            own.attach(width, heads)
            self.layers.append(
                TransformerLayer(width, heads, own, gate, ff_width or 2 * width, positions, kernel)
            )
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
        layer = LayerMemories(time.new_zeros(batch_size, 0), h[..., 0], h)
        return TransformerState.of(time, [layer] * len(self.layers))

    @torch.no_grad()
    def refresh(self, state: TransformerState) -> TransformerState:
        """Project keys, values and spans of the kept states under the present weights, with room for steps to come."""
        return replace(state, slots=acting.refresh(self._layers, state.slots))

    @torch.no_grad()
    def step(
        self, x_BD: Tensor, state: TransformerState, episode_start_B: Tensor, need_attention: bool = False
    ) -> MemoryOutput[TransformerState]:
        """One step on stored keys and values; what can no longer be read is deleted."""
        self.check_input(x_BD, state, episode_start_B, axes=2)
        if not state.slots.acts:
            state = self.refresh(state)
        read = compiling.compiled(acting.read_and_write) if self.compiles else acting.read_and_write
        x, state, trace = acting.step(self._layers, x_BD, state, episode_start_B.bool(), need_attention, read)
        none = x.new_zeros(len(self.layers))
        return MemoryOutput(self.norm(x), state, none, trace, none)

    @torch.no_grad()
    def step_without(
        self, x_1D: Tensor, state: TransformerState, episode_start_1: Tensor, births: Sequence[int]
    ) -> Tensor:
        """Outputs ``y`` (R, D) that a `step` of one environment would have without one of its memories.

        ``births`` (R,): the steps of the episode whose memories the rows lack, in all layers, one each; -1 for none.
        Row r equals ``step(x, forget(state, births[r : r + 1]), start).y``; all together cost little more than one.

        Raises:
            ValueError: there is more than one environment, or shapes do not fit each other.
        """
        self.check_input(x_1D, state, episode_start_1, axes=2)
        if len(x_1D) != 1:
            raise ValueError(f"step_without takes one environment, got {len(x_1D)}; call it for each")
        if not state.slots.acts:
            state = self.refresh(state)
        birth_R = torch.as_tensor(births, dtype=torch.long, device=x_1D.device)
        y: Tensor = self.norm(step_without(self._layers, x_1D, state, episode_start_1.bool(), birth_R))
        return y

    def unroll(
        self,
        x_BTD: Tensor,
        state: TransformerState,
        episode_start_BT: Tensor,
        need_attention: bool = False,
        need_state: bool = True,
    ) -> MemoryOutput[TransformerState]:
        """T steps at once, each query over all the keys that the rule lets it read."""
        self.check_input(x_BTD, state, episode_start_BT, axes=3)
        groups = [] if need_attention else width_groups(state.slots.width_B, x_BTD.shape[1])
        if len(groups) < 2:
            return self._unroll(x_BTD, state, episode_start_BT, need_attention, need_state)
        outs = []
        for rows in groups:
            its = near(rows, x_BTD)
            outs.append(self._unroll(x_BTD[its], state[rows], episode_start_BT[its], False, need_state))
        return join(outs, groups, state)

    def _unroll(
        self,
        x: Tensor,
        state: TransformerState,
        episode_start_BT: Tensor,
        need_attention: bool,
        need_state: bool,
    ) -> MemoryOutput[TransformerState]:
        slots = state.slots.trim()
        before = [slots.layer(i) for i in range(len(self.layers))]
        plan = state.time_B, episode_start_BT.bool(), before, state.spans
        run = compiling.compiled(unroll) if self.compiles and not state.spans.taught else unroll
        outs, after_B = run(self._layers, x, *plan, need_attention, need_state)
        x = outs[-1].y_BTD
        after = [out.after for out in outs if out.after is not None]
        attention = [out.attention for out in outs if out.attention is not None]
        if after:
            state = TransformerState.of(after_B, after, state.spans)
        trace = Trace(
            spans=[out.span_BT.detach() for out in outs],
            alive=[out.alive_BT for out in outs if out.alive_BT is not None],
            births=[layer.birth_BS for layer in state.layers] if after else [],
            attention=attention or None,
        )
        return MemoryOutput(
            y=self.norm(x),
            state=state,
            penalty=torch.stack([out.penalty for out in outs]),
            trace=trace,
            auxiliary=torch.stack([out.auxiliary for out in outs]),
            readings=[[out.reading] for out in outs],
        )

    def shorten(
        self, state: TransformerState, generator: torch.Generator | None = None, rank: int = 0, size: int = 1
    ) -> TransformerState:
        """Draw l ~ U(0, L) per environment; until the next call spans are read as l at most.

        For rules with ``random_span``. Call it once per block; acting and learning on the block then agree. Nothing
        is deleted because of it. If the environments are those numbered ``rank``, ``rank + size``, ... of more, all
        are drawn for, so that each gets the same number wherever it is.
        """
        if not any(rule.random_span for rule in self.rules):
            return state
        longest = max(rule.max_span for rule in self.rules)
        limit = torch.rand(state.batch_size * size, generator=generator)[rank::size] * longest
        return replace(state, spans=replace(state.spans, limit_B=limit.to(state.slots.store.span_BLC)))
