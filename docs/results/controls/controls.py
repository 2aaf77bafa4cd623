"""Controls: what keeping everything, windows and recurrent memories reach where Expire-Span forgets, at equal budgets.

`python docs/results/controls/controls.py STUDY [--jobs 2] [--runs runs/controls]` searches the step size of every
memory by three runs of a seed that is used for nothing else, trains every memory over the seeds by `expirespan suite`,
scores the last checkpoints, and writes STUDY.json. The same command again goes on where it stopped; without the runs,
for instance on another machine, it goes on with the seeds that STUDY.json lacks. `--draw` draws the picture and writes
the table into docs/results.md, from STUDY.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from expirespan.experiments.evaluation.aggregate import mean, stratified
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.pictures.suite import Line, draw_suite
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.provenance import commit, provenance
from expirespan.experiments.suite.tasks import SUITES
from expirespan.experiments.terminal.text import fill_tables

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "results.md"
IMAGES = HERE.parents[1] / "images"
FACTORS = (0.5, 1.0, 2.0)
"""Step sizes of the search, in units of the recipe's."""
SEARCH_SEED = 100


@dataclass(frozen=True)
class Study:
    """``task``: of the suite "own". ``measures``: name and options of `expirespan evaluate`, by the last checkpoint.
    ``factors``: step sizes, searched if there are several. ``longer``: options of the last measure for Expire-Span.
    """

    task: str
    memories: tuple[str, ...]
    search_steps: int
    steps: int
    seeds: tuple[int, ...]
    measures: dict[str, tuple[str, ...]]
    factors: tuple[float, ...] = FACTORS
    longer: tuple[str, ...] = ()


STUDIES = {
    "tmaze": Study(
        "tmaze",
        ("expire_span", "keep_all", "fixed_window:24", "fixed_window:5", "gtrxl:24", "gru", "lstm"),
        400_000,
        1_000_000,
        (0, 1, 2, 3, 4),
        {"3 corridors": (), "10 corridors": ("--corridors", "10")},
    ),
    "corridor": Study(
        "corridor",
        ("expire_span", "keep_all", "fixed_window:9", "gtrxl:256", "gru", "lstm"),
        1_000_000,
        2_000_000,
        (0, 1, 2, 3, 4),
        {"3-200 cells": (), "10,000 cells": (
            "--min-length", "10000", "--max-length", "10000", "--episodes", "20", "--num-envs", "20",
        )},
        longer=("--max-span", "131072", "--stretch", "long"),  # episodes fifty times as long as those of training
    ),
    "windows": Study(
        "corridor",
        tuple(f"fixed_window:{n}" for n in (16, 32, 64, 128, 256)),
        0,
        2_000_000,
        (0, 1, 2),
        {"3-200 cells": ()},
        (1.0,),
    ),
    "portal": Study(
        "portal",
        ("expire_span", "keep_all", *(f"fixed_window:{n}" for n in (32, 52, 107)), "gtrxl:256", "gru", "lstm"),
        1_000_000,
        2_000_000,
        (0, 1, 2),
        {"10 rooms": ("--num-envs", "200")},
        (1.0,),
    ),
}  # fmt: skip
"""A window as long as the episode reads what keep_all reads while training, so `keep_all` stands for it, but in the
T-maze, where ten corridors are longer than what was trained on. The short windows are as long as Expire-Span keeps in
the mean; in the portal rooms 52, and 107 is the most that it keeps at the end of the longest episodes."""
SOLVED = 0.95
"""Of the way from chance to the best possible score."""


def expirespan(*args: str) -> None:
    """Run a command in a separate process.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run([sys.executable, "-m", "expirespan", *args], check=True)


def suite(
    name: str,
    memories: Sequence[str],
    seed: int,
    factor: float,
    given: argparse.Namespace,
) -> Any:
    """The suite's results for some memories with one step size and one seed."""
    study = STUDIES[name]
    rate = find_recipe(study.task).config.algorithm.learning_rate * factor
    steps = study.search_steps if seed == SEARCH_SEED else study.steps
    folder = f"{name}-{seed}-{factor:g}"
    expirespan(
        "suite", "own", "--tasks", study.task, "--memories", *memories, "--seeds", str(seed), "--name", folder,
        "--total-timesteps", str(given.steps or steps), "--runs", str(given.runs), "--jobs", str(given.jobs),
        "--", "--algorithm.learning-rate", f"{rate:g}",
    )  # fmt: skip
    return json.loads((given.runs / folder / "suite.json").read_text())


def search(name: str, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Of each memory, the mean score over all evaluations by step size: the area under its curve."""
    study = STUDIES[name]
    found: dict[str, dict[str, float]] = {memory: {} for memory in study.memories}
    for factor in study.factors if len(study.factors) > 1 else ():
        for run in suite(name, study.memories, SEARCH_SEED, factor, given)["runs"]:
            found[run["memory"]][f"{factor:g}"] = float(np.mean(run["scores"]))
    return found


def choose(areas: dict[str, float]) -> float:
    """The step size with the largest area; of equal ones that nearest to the recipe's."""
    if not areas:
        return 1.0
    return max((area, -abs(float(np.log(float(f)))), float(f)) for f, area in areas.items())[2]


def score(name: str, run: dict[str, Any]) -> dict[str, Any]:
    """Fresh episodes for each measure, by the last checkpoint."""
    found = {}
    study = STUDIES[name]
    for i, (measure, options) in enumerate(study.measures.items()):
        output = Path(run["run"]) / f"score-{i}.json"
        more = study.longer if i and run["memory"] == "expire_span" else ()
        if not output.exists():
            expirespan(
                "evaluate", run["run"], "--checkpoint", "last", *options, *more, "--output", str(output)
            )
        agent = json.loads(output.read_text())["agent"]
        kept = ("episodes", "success", "interval", "mean_return", "return_interval", "alive", "alive_at_end")
        found[measure] = {key: agent.get(key) for key in kept}
    return found


def study(name: str, given: argparse.Namespace) -> None:
    """Search, train, score, and write STUDY.json after the search and after each seed."""
    about, file, made = STUDIES[name], given.output / f"{name}.json", commit()
    numbers: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"rows": []}
    if numbers.setdefault("steps", given.steps or about.steps) != (given.steps or about.steps):
        raise SystemExit(
            f"{file} has runs of {numbers['steps']:,} steps; remove it, or name another --output"
        )
    if "search" not in numbers:
        areas, steps = search(name, given), given.steps or about.search_steps
        numbers["search"] = {"seed": SEARCH_SEED, "steps": steps, "areas": areas, "commit": made}
        numbers["chosen"] = {memory: choose(areas[memory]) for memory in areas}
        write_text(file, json.dumps(numbers, indent=1) + "\n")
    if len(about.factors) == 1:  # memories that the study has got since then
        numbers["chosen"] = dict.fromkeys(about.memories, about.factors[0])
    for seed in about.seeds:
        known = [row["memory"] for row in numbers["rows"] if row["seed"] == seed]
        wanted = {memory: factor for memory, factor in numbers["chosen"].items() if memory not in known}
        if not wanted:  # the file keeps the provenance of what is in it
            continue
        for factor in sorted(set(wanted.values())):
            memories = [memory for memory in wanted if wanted[memory] == factor]
            runs = suite(name, memories, seed, factor, given)["runs"]
            with ThreadPoolExecutor(given.jobs) as pool:
                scores = list(pool.map(partial(score, name), runs))
            for run, measures in zip(runs, scores, strict=True):
                del run["run"]
                numbers["rows"].append({**run, "factor": factor, "commit": made, "measures": measures})
        numbers["rows"].sort(key=lambda row: (about.memories.index(row["memory"]), row["seed"]))
        write_text(file, json.dumps(numbers | provenance(), indent=1) + "\n")


def of_memories(numbers: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The runs of each memory that has some."""
    found = {name: [row for row in numbers["rows"] if row["memory"] == name] for name in numbers["chosen"]}
    return [(name, runs) for name, runs in found.items() if runs]


def table(name: str, numbers: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each memory: its scores by every measure, memories alive, steps until it is solved, seconds."""
    measures = STUDIES[name].measures
    rows: list[tuple[str, ...]] = [
        (
            "memory",
            "step size",
            *(f"{measure}: mean (95 %); each seed" for measure in measures),
            "alive per layer, mean",
            "solved at",
            "seconds",
        )
    ]
    (about,) = (one for one in SUITES["own"].tasks if one.name == STUDIES[name].task)
    for memory, runs in of_memories(numbers):
        cells = []
        for measure in measures:
            scores = [run["measures"][measure][about.measure] for run in runs]
            cells.append(_scores(scores))
        alive = [np.mean(run["measures"][next(iter(measures))]["alive"]) for run in runs if run["alive"]]
        last = (
            f"{np.mean(alive):.1f}" if alive else "-",
            _solved(runs),
            f"{np.mean([run['seconds'][-1] for run in runs]):.0f}",
        )
        rows.append((f"`{memory}`", f"x {runs[0]['factor']:g}", *cells, *last))
    return rows


def _scores(scores: Sequence[float]) -> str:
    """The mean over seeds, its percentile interval by drawing seeds with replacement, and each seed's."""
    each = [f"{one:.3f}" for one in scores]
    if len(each) == 1:
        return each[0]
    found = stratified([np.array(scores)[:, None]], mean)
    if len(set(each)) == 1 or found.low is None or found.high is None:
        return f"{each[0]} with each"
    return f"{found.value[0]:.3f} ({found.low[0]:.3f} to {found.high[0]:.3f}); {', '.join(each)}"


def _solved(runs: Sequence[dict[str, Any]]) -> str:
    """The median over seeds of the first evaluation that is as good as `SOLVED`; how many have one, if not all."""
    first = [
        next(
            (step for step, one in zip(run["steps"], run["normalised"], strict=True) if one >= SOLVED), np.inf
        )
        for run in runs
    ]
    median, number = float(np.median(first)), sum(np.isfinite(first))
    text = f"{median / 1e6:.2f} M" if np.isfinite(median) else "-"
    return text if number == len(runs) else f"{text} ({number} of {len(runs)})"


def picture(name: str, numbers: dict[str, Any]) -> Path:
    """Curves of every memory over steps, minutes and memories alive."""
    lines = []
    for memory, runs in of_memories(numbers):
        mean = {name: np.mean([run[name] for run in runs], 0) for name in ("steps", "seconds")}
        alive = np.mean([run["alive"] for run in runs], 0) if runs[0]["alive"] else None
        curves = [np.array([run["normalised"] for run in runs])]
        lines.append(Line(memory, str(len(runs)), mean["steps"], mean["seconds"], alive, stratified(curves)))
    searched = ", step size chosen of three for each memory" if len(STUDIES[name].factors) > 1 else ""
    title = f"{name}: {numbers['steps']:,} steps{searched}"
    return write_picture(draw_suite(lines, title), IMAGES / f"controls-{name}.png")


def with_tables(text: str, folder: Path = HERE) -> str:
    """A page whose tables between ``<!-- controls: STUDY -->`` and ``<!-- end -->`` are those of the JSON files."""

    def rows(name: str) -> list[tuple[str, ...]]:
        return table(name, json.loads((folder / f"{name}.json").read_text()))

    return fill_tables(text, "controls", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--runs", type=Path, default=Path("runs/controls"))
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=0, help="of each training, for a trial")
    parser.add_argument("--draw", action="store_true", help="only picture and table")
    asked = parser.parse_args()
    if asked.draw:
        print(picture(asked.study, json.loads((HERE / f"{asked.study}.json").read_text())))
        write_text(PAGE, with_tables(PAGE.read_text(encoding="utf-8")))
    else:
        study(asked.study, asked)
