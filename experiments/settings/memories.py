"""Settings of the memories that a run can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from expirespan.parameters import (
    Chrono,
    Factor,
    FiniteWindow,
    Heads,
    InitFraction,
    Layers,
    MaxSpan,
    OutputScale,
    Positions,
    Ramp,
    Stabilizer,
    SummarySlots,
    Width,
    Window,
)


@dataclass(frozen=True)
class TransformerSettings:
    """What Transformers have under any rule."""

    learns_spans: ClassVar[bool] = False
    """Whether spans are learned, so that a lesson in forgetting can shorten them."""
    width: Width = 64
    """Size of states."""
    layers: Layers = 2
    """Transformer layers, each with its own memory."""
    heads: Heads = 4
    """Attention heads; must divide the width."""
    gate: Literal["residual", "gru"] = "residual"
    """How a layer joins the stream; gru is GTrXL's."""
    output_scale: OutputScale = 1.0
    """Size at which the outputs begin."""
    positions: Positions = 16
    """Recent steps with a learned relative position."""
    attention: Literal["auto", "native", "plain", "triton"] = "auto"
    """How attention is computed: in C on CPUs (native), by PyTorch (plain), in C where that is built (auto), or when
    learning on CUDA in Triton (triton), which is not chosen by auto."""
    compile: bool = False
    """Let torch.compile make programs of what the memory computes, half a minute each; for GPUs."""


@dataclass(frozen=True)
class ExpireSpanSettings(TransformerSettings):
    """Every memory predicts how long it is kept."""

    name: ClassVar[str] = "expire_span"
    learns_spans: ClassVar[bool] = True
    max_span: MaxSpan = 256
    """Longest span, in steps."""
    ramp: Ramp = 16
    """Steps over which an expired memory fades."""
    init_fraction: InitFraction = 0.9
    """Spans start at this fraction of the longest."""
    stabilizer: Stabilizer = 1.0
    """Divides the predictor's output; for very large max-span."""
    penalty: Literal["all", "ramp"] = "all"
    """What is priced: all spans (paper), or those on their ramp (the authors' code)."""
    random_span: bool = False
    """Shorten spans at random while training."""


@dataclass(frozen=True)
class FixedWindowSettings(TransformerSettings):
    """Transformer-XL: the last states, whatever they hold."""

    name: ClassVar[str] = "fixed_window"
    window: Window = 256
    """States that can be read, the present one included; inf for all."""


@dataclass(frozen=True)
class AdaptiveSpanSettings(TransformerSettings):
    """Every attention head learns how far back it reads."""

    name: ClassVar[str] = "adaptive_span"
    max_span: MaxSpan = 256
    """Longest reach, in steps."""
    ramp: Ramp = 16
    """Steps over which a memory past the reach fades."""
    init_fraction: InitFraction = 0.9
    """Reaches start at this fraction of the longest."""


@dataclass(frozen=True)
class CompressiveSettings(TransformerSettings):
    """What leaves the window is compressed and read for longer."""

    name: ClassVar[str] = "compressive"
    window: FiniteWindow = 64
    """Last states that can be read, the present one included."""
    slots: SummarySlots = 48
    """Summaries that can be read besides."""
    factor: Factor = 4
    """States that a summary stands for."""
    compression: Literal["conv", "mean", "max"] = "conv"
    """How states become a summary: by a learned convolution, their mean or their maximum."""


@dataclass(frozen=True)
class LSTMSettings:
    """The recurrent baseline."""

    name: ClassVar[str] = "lstm"
    width: Width = 64
    """Size of states."""
    layers: Layers = 1
    """LSTM layers."""
    chrono: Chrono | None = None
    """Steps over which units keep at first, spread up to this; None for PyTorch's start."""


@dataclass(frozen=True)
class GRUSettings:
    """The other recurrent baseline."""

    name: ClassVar[str] = "gru"
    width: Width = 64
    """Size of states."""
    layers: Layers = 1
    """GRU layers."""
    chrono: Chrono | None = None
    """Steps over which units keep at first, spread up to this; None for PyTorch's start."""


Memory = (
    ExpireSpanSettings
    | FixedWindowSettings
    | AdaptiveSpanSettings
    | CompressiveSettings
    | LSTMSettings
    | GRUSettings
)
