"""Retention picture: each observation's span, and which observations remain at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from expirespan.experiments.episodes.cue_retention import stretches
from expirespan.experiments.episodes.frames import ImageOf
from expirespan.experiments.episodes.trace import Bools, EpisodeTrace
from expirespan.experiments.pictures.kept_texts import draw_texts, kept_texts
from expirespan.experiments.pictures.palette import ALIVE, CUE, DASHES, FORGOTTEN, GREY, LAYERS
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.tracking.log_values import Picture

LEFT = 0.085
MOST_THUMBNAILS = 12
MOST_GAPS, MOST_COLUMNS = 120, 1600
LOG_FROM = 500  # steps from which spans are drawn on a logarithmic axis, so that short ones stay visible


def draw_retention(trace: EpisodeTrace, path: Path, image_of: ImageOf | None = None) -> Path:
    """Write the picture of an episode (10 to 10,000 steps and more) as PNG, SVG or PDF and return its path.

    One panel per layer with the span of every step, one with the number of memories alive, and the observations still
    remembered at the end: their texts, or what ``image_of`` draws of them, otherwise their recorded pictures.
    """
    texts = kept_texts(trace) if trace.text.size else np.array([], dtype=int)
    drawer = None if trace.text.size else _drawer(trace, image_of)
    shown = thumbnails(trace) if drawer is not None else np.array([], dtype=int)
    rows = [*[1.55] * trace.layers, 1.15 if trace.layers else 0.9, *[1.5] * bool(len(shown))]
    rows += [0.25 + 0.2 * len(texts)] * bool(len(texts))
    height = sum(rows) + 1.6
    figure = Figure(figsize=(11, height), facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(rows), 1, height_ratios=rows, hspace=0.24, left=LEFT, right=0.915,
        top=1 - 1.1 / height, bottom=0.5 / height,
    )  # fmt: skip
    panels: list[Axes] = []
    for row in range(trace.layers + 1):
        panels.append(figure.add_subplot(grid[row], sharex=panels[0] if panels else None))
    for layer, axes in enumerate(panels[:-1]):
        _draw_spans(axes, trace, layer)
    _draw_alive(panels[-1], trace)
    for axes in panels:
        _mark_cue(axes, trace)
        _plain_axes(axes, trace.steps)
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[-1].text(1.025, -0.06, "timestep", transform=panels[-1].transAxes, fontsize=9, va="top", ha="left")
    for label in panels[-1].get_xticklabels():
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # thumbnails' lines pass behind
    _write_heading(figure, trace, height)
    if len(shown) and drawer is not None:
        _draw_thumbnails(figure, figure.add_subplot(grid[-1]), panels[-1], trace, shown, drawer)
    if len(texts):
        draw_texts(figure.add_subplot(grid[-1]), trace, texts)
    return write_picture(figure, path)


def _drawer(trace: EpisodeTrace, image_of: ImageOf | None) -> Callable[[int], Picture] | None:
    """What draws the observation of a timestep, if anything does."""
    if image_of is not None and trace.observed:
        return lambda t: image_of(trace.observation[t])
    if trace.frames.size and trace.frame.size and (trace.frame >= 0).all():
        return lambda t: trace.frames[trace.frame[t]]
    return None


def thumbnails(trace: EpisodeTrace, most: int = MOST_THUMBNAILS) -> npt.NDArray[np.int_]:
    """Timesteps whose observations to show, of those kept at the end: cues first, the rest spread evenly."""
    kept = np.flatnonzero(trace.kept.any(0))
    cues = kept[trace.cue[kept]][: most // 2]
    others = np.setdiff1d(kept, cues)
    room = min(most - len(cues), len(others))
    spread = (
        others[np.unique(np.linspace(0, len(others) - 1, room).round().astype(int))] if room else others[:0]
    )
    return np.union1d(cues, spread)


def _draw_spans(axes: Axes, trace: EpisodeTrace, layer: int) -> None:
    """Bars as high as the span; memories alive at the end stand out and reach above the dotted line."""
    T, ramp = trace.steps, float(trace.about.get("ramp") or 0)
    span, kept = trace.finite_span[layer], trace.kept[layer]
    top = (1.12 if T <= LOG_FROM else 2) * max(float(span.max(initial=0)), ramp, 1)
    axes.stairs(*_bars(np.where(kept, 0, span)), fill=True, color=FORGOTTEN, linewidth=0)
    at = np.flatnonzero(kept)
    axes.vlines(at, 0, span[at], color=ALIVE, linewidth=np.clip(500 / T, 0.8, 5))
    axes.plot(at, span[at], ".", color=ALIVE, markersize=5 if T <= 400 else 3.5, clip_on=False)
    reach = np.linspace(-0.5, T - 0.5, 500)
    axes.plot(reach, np.maximum(T - ramp - reach - 1, 0), ":", color=GREY, linewidth=1)
    if T > LOG_FROM:
        axes.set_yscale("symlog", linthresh=10, linscale=0.8)
    axes.set_ylim(0, top)
    axes.set_ylabel(f"layer {layer + 1}\nspan in steps", fontsize=9)
    counted = f"{int(kept.sum()):,}\nof {T:,}\nalive at\nthe end"
    axes.text(1.012, 0.5, counted, transform=axes.transAxes, va="center", fontsize=8.5, color=ALIVE)


def _draw_alive(axes: Axes, trace: EpisodeTrace) -> None:
    """Memories read by each step, and how many keeping everything would be; the value for other memories."""
    if not trace.layers:
        axes.plot(trace.value, color=LAYERS[0], linewidth=1.6)
        axes.set_ylabel("value", fontsize=9)
        axes.set_title("this memory keeps no separate states", fontsize=9, loc="right")
        return
    most = max(float(trace.alive.max()), 1)
    axes.plot([0, trace.steps - 1], [1, trace.steps], color=GREY, linewidth=1, linestyle=":")
    above = most > 0.7 * trace.steps  # to the left of the line, where the right is taken
    x = 0.8 * trace.steps if above else 1.1 * most
    up, to = ("bottom", "right") if above else ("center", "left")
    axes.text(x, x, "  if all were kept  ", fontsize=8, color=GREY, va=up, ha=to)
    for layer, alive in enumerate(trace.alive):
        style = DASHES[layer % len(DASHES)]
        at = np.unique(np.linspace(0, trace.steps, min(trace.steps, 400) + 1).astype(int))[:-1]
        mean = np.add.reduceat(alive, at) / np.diff(np.append(at, trace.steps))
        axes.plot(
            at, mean, style, color=LAYERS[layer % len(LAYERS)], linewidth=1.6, label=f"layer {layer + 1}"
        )
    axes.set_ylim(0, 1.2 * most)
    axes.set_ylabel("memories\nalive", fontsize=9)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5, handlelength=1.8,
        borderaxespad=0.4,
    )  # fmt: skip


def _mark_cue(axes: Axes, trace: EpisodeTrace) -> None:
    for first, last in stretches(trace.cue):
        axes.axvspan(first - 0.5, last + 0.5, color=CUE, alpha=0.22, linewidth=0, zorder=0)
        axes.plot(
            (first + last) / 2, 1.0, "v", color=CUE, markersize=6, transform=axes.get_xaxis_transform(),
            clip_on=False, zorder=5,
        )  # fmt: skip


def _plain_axes(axes: Axes, steps: int) -> None:
    axes.set_xlim(-0.5 - steps * 0.004, steps - 0.5 + steps * 0.004)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_label_coords(-0.055, 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 2.5, 5, 10], integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.5g}"))


def _write_heading(figure: Figure, trace: EpisodeTrace, height: float) -> None:
    about = trace.about
    trained = f"after {about['trained_steps']:,} steps of training" if about.get("trained_steps") else ""
    facts = [about.get("env", ""), f"episode of {trace.steps:,} steps", trace.outcome, trained]
    figure.text(LEFT, 1 - 0.3 / height, "What is kept, and for how long", fontsize=14, weight="bold")
    figure.text(LEFT, 1 - 0.54 / height, "  ·  ".join(filter(None, facts)), fontsize=9.5, color=GREY)
    handles: list[Any] = []
    if trace.layers:
        handles += [
            Patch(color=FORGOTTEN, label="deleted before the end"),
            Line2D([], [], color=ALIVE, marker=".", markersize=8, label="alive at the end"),
            Line2D([], [], color=GREY, linestyle=":", label="long enough a span to reach the end"),
        ]
    if trace.cue.any():
        handles.append(Line2D([], [], color=CUE, marker="v", linestyle="", markersize=7, label="cue in view"))
    if handles:
        figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(LEFT, 1 - 0.68 / height), ncols=4, fontsize=9,
            frameon=False, columnspacing=1.8, handlelength=1.6, borderpad=0, borderaxespad=0,
        )  # fmt: skip


def _draw_thumbnails(
    figure: Figure,
    strip: Axes,
    timeline: Axes,
    trace: EpisodeTrace,
    shown: npt.NDArray[np.int_],
    drawer: Callable[[int], Picture],
) -> None:
    """Pictures in a row, each joined to its place on the timeline."""
    strip.set_axis_off()
    box = strip.get_position()
    width, height = figure.get_size_inches()
    side = min(0.8, 0.9 * box.width * width / max(len(shown), 6))
    step = box.width / max(len(shown), 6)
    start = box.x0 + (box.width - step * len(shown)) / 2
    for place, t in enumerate(shown):
        x = start + (place + 0.5) * step - side / width / 2
        inset = figure.add_axes((x, box.y0 + 0.12 / height, side / width, side / height))
        inset.imshow(drawer(int(t)), interpolation="nearest")
        inset.set_xticks([])
        inset.set_yticks([])
        colour = CUE if trace.cue[t] else ALIVE
        for spine in inset.spines.values():
            spine.set(color=colour, linewidth=2.5)
        inset.set_xlabel(
            f"t = {t:,}\n{_which_layers(trace.kept[:, t])}", fontsize=8, labelpad=2, color="black"
        )
        figure.add_artist(
            ConnectionPatch(
                (float(t), 0.0), (0.5, 1.0), timeline.get_xaxis_transform(), inset.transAxes, color=colour,
                linewidth=0.9, alpha=0.55, zorder=-1,
            )
        )  # fmt: skip
    total = int(trace.kept.any(0).sum())
    some = f"{len(shown)} of the {total:,}" if len(shown) < total else "the"
    note = f"{some} observations that are remembered at the end"
    figure.text(0.5, 0.1 / height, note, fontsize=8.5, ha="center", color=GREY)


def _which_layers(kept: Bools) -> str:
    numbers = np.flatnonzero(kept) + 1
    if len(numbers) > 3 or (len(numbers) == len(kept) and len(kept) > 2):
        return "all layers" if len(numbers) == len(kept) else f"{len(numbers)} layers"
    return ("layer " if len(numbers) == 1 else "layers ") + ", ".join(map(str, numbers))


def _bars(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Heights and edges of bars: one for each value with gaps between, or the highest of several, without."""
    if len(values) <= MOST_GAPS:
        at = np.arange(len(values))
        edges = np.stack([at - 0.36, at + 0.36], 1).ravel()
        return np.stack([values, np.zeros_like(values)], 1).ravel()[:-1], edges
    columns = min(len(values), MOST_COLUMNS)
    edges = np.unique(np.linspace(0, len(values), columns + 1).astype(int))
    return np.maximum.reduceat(values, edges[:-1]), edges - 0.5
