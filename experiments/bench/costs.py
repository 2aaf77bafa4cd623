"""Costs of memories as rows, table and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from expirespan.experiments.bench.options import BASE


@dataclass(frozen=True)
class Cost:
    """Of one memory at one reach.

    ``alive``: memories read by a step, per row and layer. ``block_ms``, ``step_ms``: CPU time on the CPU, wall time on
    a GPU. ``peak_mb``: most memory in use during a block, beyond what the process takes without it. ``state_mb``: the
    states carried.
    """

    memory: str
    reach: int
    alive: float
    block_ms: float
    step_ms: float
    peak_mb: float
    state_mb: float


NUMBERS = ("alive", "block_ms", "step_ms", "peak_mb", "state_mb")


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of every number of one case."""
    numbers = {name: median(getattr(c, name) for c in costs) for name in NUMBERS}
    return replace(costs[0], **numbers)


def table(costs: Sequence[Cost]) -> str:
    """The costs as a Markdown table, with ratios to `BASE` at the same reach, otherwise to the first row."""
    base = {cost.reach: cost for cost in costs if cost.memory == BASE}
    lines = [
        "| memory | reach | alive | ms per block | ratio | ms per step | ratio | peak MiB | ratio | state MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cost in costs:
        cells = [cost.memory, f"{cost.reach:,}", f"{cost.alive:,.0f}"]
        for item in ("block_ms", "step_ms", "peak_mb"):
            value, reference = getattr(cost, item), getattr(base.get(cost.reach, costs[0]), item)
            cells += [f"{value:.2f}", f"{value / reference:.2f}" if reference else "-"]
        lines.append("| " + " | ".join([*cells, f"{cost.state_mb:.2f}"]) + " |")
    return "\n".join(lines)


def draw(costs: Sequence[Cost], path: Path) -> Path:
    """Time and memory of a block over the reach, one line for each memory."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    from expirespan.experiments.pictures.palette import line
    from expirespan.experiments.pictures.picture_file import write_picture

    figure = Figure(figsize=(9, 3.4), facecolor="white", layout="constrained")
    reaches = sorted({cost.reach for cost in costs})
    names = [f"{reach // 1024}k" if reach % 1024 == 0 else f"{reach:,}" for reach in reaches]
    for axes, item, label in zip(
        figure.subplots(1, 2), ("block_ms", "peak_mb"), ("ms per block", "peak MiB"), strict=True
    ):
        for i, name in enumerate(dict.fromkeys(cost.memory for cost in costs)):
            mine = [cost for cost in costs if cost.memory == name]
            found = [getattr(c, item) for c in mine]
            axes.loglog([c.reach for c in mine], found, markersize=4.5, label=name, **line(i))
        found = [getattr(cost, item) for cost in costs]
        axes.set(xlabel="reach, in steps", ylabel=label, ylim=(min(found) / 3, max(found) * 3))
        axes.set_xticks(reaches, names)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return write_picture(figure, path)
