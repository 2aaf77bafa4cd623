"""The texts that are still remembered at the end of an episode, line by line under its retention picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.pictures.palette import ALIVE, CUE, GREY

MOST_TEXTS, MOST_CUES = 8, 4
LENGTH = 96
"""Characters of a text that fit on a line."""


def kept_texts(trace: EpisodeTrace, most: int = MOST_TEXTS) -> npt.NDArray[np.int_]:
    """Timesteps of texts to show, of those kept at the end: the newest cues, then those with the longest spans."""
    kept = np.flatnonzero(trace.kept.any(0))
    if not len(kept):  # nor is there a span to sort by, if the memory has no layers
        return kept
    cues = kept[trace.cue[kept]][-MOST_CUES:]
    others = np.setdiff1d(kept, cues)
    span = np.where(trace.kept, trace.finite_span, 0).max(0)
    longest = others[np.argsort(-span[others], kind="stable")[: most - len(cues)]]
    return np.union1d(cues, longest).astype(int)


def draw_texts(axes: Axes, trace: EpisodeTrace, shown: npt.NDArray[np.int_]) -> None:
    """A line for each: its timestep, the layer that gives it the longest span, that span, and the text."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(shown) + 1, -1))
    total = int(trace.kept.any(0).sum())
    some = f"{len(shown)} of the {total:,}" if len(shown) < total else "the"
    axes.text(0, -0.3, f"{some} lines that are remembered at the end", fontsize=9, color=GREY, va="center")
    for row, t in enumerate(shown, start=1):
        span = np.where(trace.kept[:, t], trace.span[:, t], -np.inf)
        layer = int(span.argmax())
        colour = CUE if trace.cue[t] else ALIVE
        axes.plot([0.004], [row], "v" if trace.cue[t] else "o", color=colour, markersize=5, clip_on=False)
        steps = f"span {span[layer]:,.0f}" if np.isfinite(span[layer]) else "no limit"
        axes.text(0.018, row, f"t = {t:,}", fontsize=8.5, va="center")
        axes.text(0.092, row, f"layer {layer + 1}, {steps}", fontsize=8.5, va="center", color=GREY)
        axes.text(0.245, row, short(str(trace.text[t])), fontsize=8.5, va="center", parse_math=False)


def short(text: str, length: int = LENGTH) -> str:
    """The text in one line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
