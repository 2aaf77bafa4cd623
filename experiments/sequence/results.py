"""Runs on one sequence task side by side: a table of their test scores and a picture of how they learned.

    python -m expirespan.experiments.sequence.results FOLDER [--output PICTURE]

FOLDER holds the ``test.json`` of each run, or what ``--evaluate RUN --output FILE`` wrote, as LABEL.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from expirespan.experiments.pictures.palette import GREY, line
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.settings import texts
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said

Result = dict[str, Any]
NEEDED = {
    "accuracy",
    "chance",
    "bits",
    "interval",
    "alive",
    "parameters",
    "updates",
    "evaluations",
    "settings",
}


def read_results(folder: Path) -> dict[str, Result]:
    """What each file holds, by label.

    Raises:
        UserError: there is no file, or one is no score of a sequence run.
    """
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = texts.read_json(path)
            missing = NEEDED - found[path.stem].keys()
            wrong = "" if missing else _fault(found[path.stem])
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(
                f"cannot read {path}: {said(error)}; write it again with `expirespan sequence --evaluate`"
            ) from error
        if wrong:
            raise UserError(
                f"{path} is damaged: {wrong}; write it again with `expirespan sequence --evaluate`"
            )
        if missing:
            raise UserError(
                f"{path} has no {min(missing)!r}: expected what `expirespan sequence --evaluate` writes"
            )
    if not found:
        raise UserError(
            f"{folder} holds no LABEL.json: copy the test.json of runs there, or write some with "
            "`expirespan sequence --evaluate RUN --output FOLDER/LABEL.json`"
        )
    return found


def _fault(result: Result) -> str:
    """What in a result is no number where one is expected; nothing if all are."""
    try:
        rows, curve = result["settings"]["evaluation_rows"], result["evaluations"]
        numbers = {name: result[name] for name in ("accuracy", "bits", "parameters", "updates", "kept_bytes")}
        numbers |= {f"interval[{i}]": result["interval"][i] for i in range(2)} | {"evaluation_rows": rows}
        numbers |= {f"alive[{i}]": count for i, count in enumerate(result["alive"])}
        for i, point in enumerate(curve):
            numbers |= {f"evaluations[{i}].{name}": point[name] for name in ("update", "bits", "accuracy")}
            numbers |= {f"evaluations[{i}].alive[{j}]": count for j, count in enumerate(point["alive"])}
        if result["chance"] is not None:
            numbers["chance"] = result["chance"]
    except (KeyError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    wrong = [name for name, value in numbers.items() if not texts.is_number(value, 0)]
    return f"{wrong[0]} is no finite number" if wrong else ""


def table(results: dict[str, Result]) -> str:
    """Markdown table, one row per label."""
    lines = [
        "| run | parameters | updates | accuracy (95 %) | bits per question | alive per layer | state, MiB per row |",
        "|---|--:|--:|---|--:|---|--:|",
    ]
    for label, r in results.items():
        low, high = r["interval"]
        alive = " / ".join(f"{count:,.0f}" for count in r["alive"]) or "-"
        kept = r["kept_bytes"] / r["settings"]["evaluation_rows"] / 2**20
        lines.append(
            f"| {label} | {r['parameters']:,} | {r['updates']:,} | {r['accuracy']:.3f} ({low:.3f}-{high:.3f}) | "
            f"{r['bits']:.3f} | {alive} | {kept:.2f} |"
        )
    return "\n".join(lines)


def draw(results: dict[str, Result], path: Path) -> Path:
    """Score on the evaluation data over the updates, and how many memories were alive (mean of the layers).

    The score is accuracy beside chance, or bits where there is no chance.
    """
    figure = Figure(figsize=(9, 3.4), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2)
    chance = next(iter(results.values()))["chance"]
    for i, (label, r) in enumerate(results.items()):
        curve = r["evaluations"]
        style = line(i) | {"markersize": 6, "markerfacecolor": "none", "label": label}
        updates = [point["update"] for point in curve]
        scores = [point["bits" if chance is None else "accuracy"] for point in curve]
        left.plot(updates, scores, **style)
        alive = [sum(point["alive"]) / max(1, len(point["alive"])) for point in curve]
        right.semilogy(updates, alive, **style)
    if chance is None:
        left.set_ylabel("bits per byte")
    else:
        left.axhline(chance, color=GREY, linestyle=":", linewidth=1)
        left.set(ylabel="accuracy", ylim=(0, 1.04))
    right.set_ylabel("memories alive per layer")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:,g}")
    right.minorticks_off()
    handles, labels = right.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 5), frameon=False, fontsize=8
    )
    for axes in (left, right):
        axes.set_xlabel("updates")
        axes.spines[["top", "right"]].set_visible(False)
    return write_picture(figure, path)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args(argv)
    try:
        results = read_results(args.folder)
        print(table(results))
        if args.output:
            print(draw(results, args.output))
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
