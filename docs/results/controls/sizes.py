"""Success over memories alive, after the paper's Figure 3 (left), from corridor.json and windows.json.

`python docs/results/controls/sizes.py` draws windows of many lengths, Expire-Span, GRU and LSTM.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from expirespan.experiments.evaluation.compare import Comparison, Group
from expirespan.experiments.evaluation.stats import Interval, interquartile_interval, interquartile_mean
from expirespan.experiments.pictures.comparison import draw_memory
from expirespan.experiments.pictures.picture_file import write_picture

HERE = Path(__file__).parent
IMAGE = HERE.parents[1] / "images" / "memory-size.png"
MEASURE = "3-200 cells"
TITLE = (
    f"Corridors of {MEASURE}, 2 M steps of training; step sizes searched, but those of windows of 16 and more"
)
LABELS = {"expire_span": "Expire-Span", "fixed_window": "fixed_window", "gru": "GRU", "lstm": "LSTM"}
"""The kinds that are drawn."""


def group(memory: str, runs: list[dict[str, Any]]) -> Group:
    """The runs of a memory, scored by their last checkpoints."""
    measured = [run["measures"][MEASURE] for run in runs]
    scores = [one["success"] for one in measured]
    ends = [float(np.mean(one["alive_at_end"])) for one in measured if one["alive_at_end"]]
    kind = memory.partition(":")[0]
    return Group(
        label=LABELS[kind], memory=kind, scores=scores, mean=float(interquartile_mean(scores)),
        interval=Interval(*map(float, interquartile_interval(scores))), alive=float(np.mean(ends)) if ends else None,
        steps=float(runs[0]["steps"][-1]), recall=None, saved=None, curve=None,
    )  # fmt: skip


def sizes(folder: Path = HERE) -> Comparison:
    """All memories that are drawn, fewest states first."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for name in ("corridor", "windows"):
        for row in json.loads((folder / f"{name}.json").read_text())["rows"]:
            if row["memory"].partition(":")[0] in LABELS:
                runs.setdefault(row["memory"], []).append(row)
    groups = sorted(
        (group(*one) for one in runs.items()), key=lambda one: (one.alive is None, one.alive or 0.0)
    )
    return Comparison(groups, "success", {"name": TITLE})


if __name__ == "__main__":
    drawn = draw_memory(sizes())
    assert drawn is not None, "windows have memories"
    print(write_picture(drawn, IMAGE))
