"""Pictures of a comparison: score against memories alive, as in the paper's Figure 3 (left), and learning curves."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from expirespan.experiments.evaluation.compare import WINDOW, Comparison, Group
from expirespan.experiments.pictures.palette import BLUE, DASHES, GREY, LAYERS, ORANGE

WINDOW_COLOUR, OTHER_COLOUR = BLUE, ORANGE


def draw_memory(comparison: Comparison) -> Figure | None:
    """Memories alive per layer on a logarithmic axis, scores above; None if no group has separate memories.

    Dots are runs, marks with bars interquartile means with their intervals. Groups without separate memories, such as
    recurrent ones, are lines across.
    """
    drawn = [group for group in comparison.groups if group.alive is not None]
    if not drawn:
        return None
    figure, axes = _panel("memories alive per layer at the end of the longest episodes", comparison)
    windows = [group for group in drawn if group.memory == WINDOW]
    for groups, colour, name, marker, line in (
        (windows, WINDOW_COLOUR, "fixed window", "o", "-"),
        ([group for group in drawn if group.memory != WINDOW], OTHER_COLOUR, "learned memory", "s", ""),
    ):
        if groups:
            _draw_points(axes, groups, colour, name, marker, line)
    for group, style in zip([g for g in comparison.groups if g.alive is None], cycle(DASHES[1:])):
        axes.axhline(group.mean, color=GREY, linestyle=style, linewidth=1, label=group.label)
    axes.set_xscale("log", base=2)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(LogLocator(2, numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    return _finish(figure, axes)


def draw_learning(comparison: Comparison) -> Figure | None:
    """Scores of the evaluations during training, interquartile means with intervals; None without any."""
    drawn = [(group, group.curve) for group in comparison.groups if group.curve is not None]
    if not drawn:
        return None
    figure, axes = _panel("environment steps of training, in millions", comparison)
    for i, (group, curve) in enumerate(drawn):
        colour, style = LAYERS[i % len(LAYERS)], DASHES[i // len(LAYERS) % len(DASHES)]
        runs = f"{len(group.scores)} run{'s' * (len(group.scores) > 1)}"
        axes.plot(
            curve.steps / 1e6, curve.mean, style, color=colour, label=f"{group.label} ({runs})", linewidth=1.8
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.steps / 1e6, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlim(left=0)
    return _finish(figure, axes)


def _panel(xlabel: str, comparison: Comparison) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 5), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel({"success": "success rate", "return": "mean return"}[comparison.measure])
    if comparison.measure == "success":
        axes.set_ylim(-0.02, 1.04)
    axes.set_title(comparison.title, fontsize=9, loc="left", color=GREY, wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_points(axes: Axes, groups: list[Group], colour: str, name: str, marker: str, line: str) -> None:
    x = np.array([group.alive for group in groups], float)
    y = np.array([group.mean for group in groups])
    ends = np.array([group.interval or (group.mean, group.mean) for group in groups])
    bars = np.stack([np.maximum(0, y - ends[:, 0]), np.maximum(0, ends[:, 1] - y)])
    axes.errorbar(
        x, y, bars, color=colour, marker=marker, markersize=8, linestyle=line, capsize=4, label=name, zorder=3
    )
    for group, px, py in zip(groups, x, y, strict=True):
        axes.plot([px] * len(group.scores), group.scores, ".", color=colour, alpha=0.45, markersize=6)
        text = f"{px:,.0f}" if group.memory == WINDOW else group.label
        axes.annotate(text, (px, py), (8, -14), textcoords="offset points", fontsize=8.5, color=colour)


def _finish(figure: Figure, axes: Axes) -> Figure:
    axes.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return figure
