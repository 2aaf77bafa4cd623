"""The spans of an episode as a heat map, layer by timestep: small enough to be logged at every evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from expirespan.experiments.episodes.cue_retention import stretches
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.pictures.palette import CUE

MOST_COLUMNS = 800


def draw_heatmap(trace: EpisodeTrace) -> npt.NDArray[np.uint8]:
    """Picture (height, width, 3) uint8; triangles mark where the cue is in view.

    Raises:
        ValueError: the memory has no spans.
    """
    if not trace.layers:
        raise ValueError("a memory without spans has no heat map")
    figure = Figure(figsize=(9, 1.3 + 0.35 * trace.layers), layout="constrained", dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edges = np.unique(np.linspace(0, trace.steps, min(trace.steps, MOST_COLUMNS) + 1).astype(int))
    span = np.maximum.reduceat(trace.finite_span, edges[:-1], axis=1)
    rows = np.arange(trace.layers + 1) + 0.5
    picture = axes.pcolormesh(edges - 0.5, rows, span, cmap="cividis", vmin=0, vmax=max(span.max(), 1))
    figure.colorbar(picture, ax=axes, label="span in steps", pad=0.01)
    for first, last in stretches(trace.cue):
        axes.plot(
            (first + last) / 2, 1.0, "v", color=CUE, transform=axes.get_xaxis_transform(), clip_on=False, ms=9
        )
    axes.set(ylim=(rows[-1], rows[0]), yticks=range(1, trace.layers + 1), xlabel="timestep", ylabel="layer")
    axes.set_title(
        f"spans in an episode of {trace.steps:,} steps; ▼ cue in view", fontsize=10, loc="left", pad=9
    )
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
