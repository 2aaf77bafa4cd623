"""Picture of a suite: the same curves of normalised score over steps, over seconds and over memories alive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from expirespan.experiments.evaluation.aggregate import Estimate, Floats
from expirespan.experiments.pictures.palette import GREY, PALE, memory_lines


@dataclass(frozen=True)
class Line:
    """A memory over all tasks, at K points of training.

    ``runs``: how many for each task, in words. ``steps``, ``seconds``, ``alive``: means over runs, (K,); ``alive`` is
    None for memories without separate states. ``score``: normalised, interquartile mean with its interval.
    """

    memory: str
    runs: str
    steps: Floats
    seconds: Floats
    alive: Floats | None
    score: Estimate


def draw_suite(lines: list[Line], title: str) -> Figure:
    """Three panels with one scale of scores. In the third, training goes along a line to its mark."""
    figure = Figure(figsize=(12, 4.8), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharey=True)
    unit, name = (1e6, "millions") if max(one.steps[-1] for one in lines) >= 1e6 else (1e3, "thousands")
    for one, look in zip(lines, memory_lines([one.memory for one in lines]), strict=True):
        style = look | {"markersize": 5, "linewidth": 1.8}
        label = f"{one.memory} ({one.runs} run{'s' * (one.runs != '1')} a task)"
        _curve(panels[0], one.steps / unit, one.score, style, label)
        _curve(panels[1], one.seconds / 60, one.score, style, label)
        _against_memory(panels[2], one, style)
    panels[0].set_xlabel(f"environment steps of training, in {name}")
    panels[1].set_xlabel("minutes of training, evaluations included")
    panels[2].set_xlabel("memories alive per layer\n(without separate memories: at the right)")
    panels[0].set_ylabel("normalised score, interquartile mean")
    for axes in panels:
        axes.axhline(0, color=PALE, linewidth=1, zorder=0)
        axes.axhline(1, color=PALE, linewidth=1, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[:2]:
        axes.set_xlim(left=0)
    low = min(np.min(one.score.value if one.score.low is None else one.score.low) for one in lines)
    high = max(np.max(one.score.value if one.score.high is None else one.score.high) for one in lines)
    panels[0].set_ylim(min(-0.05, low - 0.05), max(1.05, high + 0.05))
    if alive := [one.alive for one in lines if one.alive is not None]:
        _scale_of_memory(panels[2], float(np.min(alive)), float(np.max(alive)))
    else:
        panels[2].set_xticks([])
    for text, height in (("chance", 0), ("best possible", 1)):
        panels[0].annotate(text, (0, height), (3, 3), textcoords="offset points", fontsize=8, color=GREY)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left", color=GREY, wrap=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=min(4, len(lines))
    )
    return figure


def _curve(axes: Axes, x: Floats, score: Estimate, style: dict[str, object], label: str) -> None:
    axes.plot(x, score.value, label=label, **style)  # type: ignore[arg-type]
    if score.low is not None and score.high is not None:
        axes.fill_between(x, score.low, score.high, color=str(style["color"]), alpha=0.15, linewidth=0)


def _against_memory(axes: Axes, one: Line, style: dict[str, object]) -> None:
    """The way of a memory through training, and its end with the interval; at the right edge if it has no states."""
    end = one.score.value[-1:]
    bars = None
    if one.score.low is not None and one.score.high is not None:
        bars = np.maximum(0, [end - one.score.low[-1:], one.score.high[-1:] - end])
    marks = {
        "color": style["color"],
        "marker": style["marker"],
        "markersize": 8,
        "capsize": 4,
        "linestyle": "",
    }
    if one.alive is None:
        where = axes.get_yaxis_transform()
        axes.errorbar([0.97], end, bars, transform=where, clip_on=False, **marks)  # type: ignore[arg-type]
        return
    axes.plot(one.alive, one.score.value, color=str(style["color"]), linewidth=1, alpha=0.5)
    axes.errorbar(one.alive[-1:], end, bars, **marks)  # type: ignore[arg-type]


def _scale_of_memory(axes: Axes, least: float, most: float) -> None:
    """Powers of two, an octave to either side."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(least / 2, most * 2)
    axes.xaxis.set_major_locator(LogLocator(2, numticks=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
