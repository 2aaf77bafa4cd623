"""Success against memory size, as in the paper's Figure 3 (left): table and picture from evaluation files.

    python -m expirespan.experiments.memory_size FOLDER [--output PICTURE]

FOLDER holds what ``expirespan evaluate RUN --output FOLDER/LABEL-seedN.json`` wrote; files of one label are seeds of
the same thing.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from expirespan.experiments.errors import UserError
from expirespan.experiments.files import atomically
from expirespan.experiments.stats import Interval, mean_interval

CHANCE, WINDOW, LEARNED = "#666666", "#0072b2", "#d55e00"


@dataclass(frozen=True)
class Point:
    """Seeds of one label. ``alive``: memories per layer at the end of the longest episodes; None without memories."""

    label: str
    success: list[float]
    longest: list[float]
    alive: float | None
    steps: float

    @property
    def interval(self) -> Interval | None:
        """95 % interval (Student's t) of the mean success over seeds, None for one seed."""
        return mean_interval(self.success) if len(self.success) > 1 else None


def read_points(folder: Path) -> list[Point]:
    """Every label in the folder, fewest memories first.

    Raises:
        UserError: there is no evaluation file, or one cannot be read.
    """
    found: dict[str, list[dict[str, object]]] = defaultdict(list)
    for path in sorted(folder.glob("*-seed*.json")):
        label = re.sub(r"-seed\d+$", "", path.stem)
        try:
            found[label].append(json.loads(path.read_text()))
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(
                f"cannot read {path}: {error}; write it again with `expirespan evaluate`"
            ) from error
    if not found:
        raise UserError(
            f"{folder} holds no LABEL-seedN.json; write some with `expirespan evaluate RUN --output`"
        )
    points = [_point(label, files) for label, files in found.items()]
    return sorted(points, key=lambda point: (point.alive is None, point.alive or 0.0))


def _point(label: str, files: list[dict[str, object]]) -> Point:
    agents = [file["agent"] for file in files]
    alive = [np.mean(agent["alive_at_end"]) for agent in agents if agent["alive_at_end"]]  # type: ignore[index]
    return Point(
        label,
        [float(agent["success"]) for agent in agents],  # type: ignore[index]
        [float(agent["longest_success"]) for agent in agents],  # type: ignore[index]
        float(np.mean(alive)) if alive else None,
        float(np.mean([file["trained_steps"] for file in files])),
    )


def table(points: list[Point]) -> str:
    """Markdown table."""
    lines = [
        "| memory | seeds | alive per layer | success, 3-200 cells | 95 % interval | each seed | the longest | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for p in points:
        alive = "-" if p.alive is None else f"{p.alive:.1f}"
        between = (
            "-" if p.interval is None else f"{max(p.interval.low, 0):.3f} to {min(p.interval.high, 1):.3f}"
        )
        each = ", ".join(f"{value:.3f}" for value in p.success)
        lines.append(
            f"| {p.label} | {len(p.success)} | {alive} | {np.mean(p.success):.3f} | {between} | {each} | "
            f"{np.mean(p.longest):.3f} | {p.steps / 1e6:.2f} M |"
        )
    return "\n".join(lines)


def draw(points: list[Point], path: Path) -> Path:
    """Picture: memories alive on a logarithmic axis, success above it."""
    figure = Figure(figsize=(7.5, 4.5), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axhline(0.5, color=CHANCE, linestyle=":", linewidth=1)
    axes.text(
        0.99, 0.505, "no memory", color=CHANCE, fontsize=9, ha="right", transform=axes.get_yaxis_transform()
    )
    drawn = [p for p in points if p.alive is not None]
    for windows, colour, name, marker in (
        (True, WINDOW, "fixed window", "o"),
        (False, LEARNED, "Expire-Span", "s"),
    ):
        group = [p for p in drawn if p.label.startswith("window") == windows]
        if not group:
            continue
        x = [float(p.alive or 0) for p in group]
        y = [float(np.mean(p.success)) for p in group]
        low = [max(0.0, value - min(p.success)) for value, p in zip(y, group, strict=True)]
        high = [max(0.0, max(p.success) - value) for value, p in zip(y, group, strict=True)]
        style = "-" if windows else "none"
        axes.errorbar(
            x,
            y,
            [low, high],
            color=colour,
            marker=marker,
            markersize=7,
            linestyle=style,
            capsize=3,
            label=name,
        )
        for p, px, py in zip(group, x, y, strict=True):
            axes.annotate(
                p.label, (px, py), xytext=(6, -13), textcoords="offset points", fontsize=8, color=colour
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks([8, 16, 32, 64, 128, 256], ["8", "16", "32", "64", "128", "256"])
    axes.set_ylim(0, 1.04)
    axes.set_xlabel("memories alive per layer at the end of the longest corridors")
    axes.set_ylabel("success, corridors of 3-200 cells")
    axes.set_title("Success against memory size; bars span the seeds", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with atomically(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    try:
        points = read_points(args.folder)
        print(table(points))
        if args.output:
            print(draw(points, args.output))
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
