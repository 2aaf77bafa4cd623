"""What carries over to episodes longer than those of training, from tmaze.json and corridor.json.

`python docs/results/controls/carry.py` draws the success of each seed, by memory.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from expirespan.experiments.pictures.palette import GREY, PALE, memory_lines
from expirespan.experiments.pictures.picture_file import write_picture

HERE = Path(__file__).parent
IMAGE = HERE.parents[1] / "images" / "controls-carry.png"
PANELS = {
    "tmaze": ("10 corridors", "T-mazes of ten corridors, trained on three", 0.5**10),
    "corridor": ("10,000 cells", "Corridors of 10,000 cells, trained on 200 at most", 0.5),
}
"""Of each study the measure, what it is, and what is reached without memory."""


def draw(folder: Path = HERE) -> Figure:
    """A panel a study, a row a memory, a dot a seed; seeds of about the same success lie above each other."""
    figure = Figure(figsize=(10, 3.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (study, (measure, title, without)) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        numbers = json.loads((folder / f"{study}.json").read_text())
        memories = list(numbers["chosen"])
        axes.axvline(without, color=PALE, linewidth=1)
        axes.annotate(
            "no memory", (without, -0.6), (3, 0), textcoords="offset points", fontsize=8, color=GREY
        )
        for row, (memory, look) in enumerate(zip(memories, memory_lines(memories), strict=True)):
            found = [r["measures"][measure]["success"] for r in numbers["rows"] if r["memory"] == memory]
            at = row + np.linspace(-0.2, 0.2, len(found))
            axes.plot(found, at, look["marker"], color=look["color"], markersize=6, alpha=0.7)
        axes.set_yticks(range(len(memories)), memories)
        axes.set_ylim(len(memories) - 0.4, -1)
        axes.set_xlim(-0.04, 1.04)
        axes.set_xlabel("success")
        axes.set_title(title, fontsize=9, loc="left", color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    print(write_picture(draw(), IMAGE))
