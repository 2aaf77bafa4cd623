"""Table of a sweep: what each group of equal settings reached over its seeds; and the commands that compare them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from expirespan.experiments.evaluation.compare import Group, compare, read_results
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.sweep.grid import Overrides
from expirespan.experiments.sweep.plan import Entry, Plan
from expirespan.experiments.sweep.trial_run import find_run
from expirespan.experiments.terminal.text import markdown
from expirespan.experiments.training.history import seconds
from expirespan.experiments.training.progress import millions
from expirespan.experiments.training.target import reached_at

HEADINGS = (
    "recipe", "settings", "runs", "{measure}, interquartile mean", "95 % interval", "each seed", "alive",
    "steps to target", "seconds",
)  # fmt: skip
NOTES = (
    "Scores are of each run's last evaluation. Interquartile means leave out the lowest and the highest quarter of the "
    "runs, rounded down; intervals are percentiles of a bootstrap over seeds, too narrow for few of them. Alive: "
    "memories per layer at the end of the longest episodes. Steps to target: their median, over the runs that reached "
    "it. Seconds: mean time of training of a run, pauses excluded."
)


@dataclass(frozen=True)
class Outcome:
    """One run that was evaluated. ``target``: step at which its target was reached, None if it was not."""

    seed: int
    run: str
    status: str
    score: float
    steps: int
    target: int | None
    seconds: float


@dataclass(frozen=True)
class Row:
    """Trials with equal settings. ``group``: their comparison, None as long as no run was evaluated."""

    recipe: str
    overrides: Overrides
    trials: int
    group: Group | None
    measure: str
    outcomes: list[Outcome]


def rows(plan: Plan) -> list[Row]:
    """A row for each group, in the order of the plan."""
    grouped: dict[tuple[str, Overrides], list[Entry]] = defaultdict(list)
    for entry in plan.entries:
        grouped[entry.trial.recipe, entry.trial.overrides].append(entry)
    return [_row(recipe, overrides, entries) for (recipe, overrides), entries in grouped.items()]


def table(found: list[Row]) -> list[tuple[str, ...]]:
    """Rows of texts, the first with the headings."""
    measures = sorted({row.measure for row in found if row.group}) or ["score"]
    head = tuple(heading.format(measure=" or ".join(measures)) for heading in HEADINGS)
    return [head, *map(_cells, found)]


def comparisons(plan: Plan) -> list[str]:
    """The commands that compare the runs: one for each environment that they were evaluated on."""
    runs = [(entry, run) for entry in plan.entries if (run := _evaluated(entry))]
    tasks: dict[str, list[Path]] = defaultdict(list)
    for entry, run in runs:
        tasks[json.dumps(to_dict(entry.trial.config.eval_env), sort_keys=True)].append(run.folder)
    if len(tasks) == 1 and len(runs) == len(plan.entries):
        return [f"expirespan compare {quoted(plan.folder)}"]
    return ["expirespan compare " + " ".join(map(quoted, folders)) for folders in tasks.values()]


def write(plan: Plan, found: list[Row]) -> list[Path]:
    """Write ``sweep.json`` and ``sweep.md`` into the sweep's folder; returns their paths."""
    made, command = provenance(), plan.again()
    unfinished = [entry.to_dict() for entry in plan.entries if entry.status not in ("done", "pruned")]
    numbers = {
        "command": command,
        "compare": comparisons(plan),
        "groups": [_plain(row) for row in found],
        "unfinished": unfinished,
        "provenance": made,
    }
    write_text(plan.folder / "sweep.json", json.dumps(numbers, indent=2, default=np.ndarray.tolist) + "\n")
    lines = [f"# Sweep {plan.folder.name}", "", f"`{command}`", "", markdown(table(found)), "", NOTES, ""]
    if unfinished:
        lines += [f"{plan.count('done')} of {len(plan.entries)} trials are done.", ""]
    lines += [f"`{one}`\n" for one in comparisons(plan)]
    lines.append(f"Made {made['time']} at commit {made['commit'] or 'unknown'}.")
    write_text(plan.folder / "sweep.md", "\n".join(lines) + "\n")
    return [plan.folder / "sweep.json", plan.folder / "sweep.md"]


def _row(recipe: str, overrides: Overrides, entries: list[Entry]) -> Row:
    runs = [(entry, run) for entry in entries if (run := _evaluated(entry))]
    if not runs:
        return Row(recipe, overrides, len(entries), None, "score", [])
    comparison = compare(read_results(run.folder for _, run in runs))
    group = comparison.groups[0]
    outcomes = [
        Outcome(
            seed=entry.trial.seed,
            run=str(run.folder),
            status=entry.status,
            score=score,
            steps=run.evaluations()[-1]["step"],
            target=reached_at(run.evaluations(), run.config.target),
            seconds=seconds(run),
        )
        for (entry, run), score in zip(runs, group.scores, strict=True)
    ]
    return Row(recipe, overrides, len(entries), group, comparison.measure, outcomes)


def _evaluated(entry: Entry) -> Run | None:
    run = find_run(entry.trial)
    return run if run and run.evaluations() else None


def _cells(row: Row) -> tuple[str, ...]:
    words = ", ".join(f"{key}={value}" for key, value in row.overrides) or "-"
    done, pruned = (sum(one.status == status for one in row.outcomes) for status in ("done", "pruned"))
    count = (
        str(done) if done == row.trials else f"{done} of {row.trials}{f', {pruned} pruned' if pruned else ''}"
    )
    group = row.group
    if group is None:
        return (row.recipe, words, count, *["-"] * 6)
    reached = [outcome.target for outcome in row.outcomes if outcome.target is not None]
    few = "" if len(reached) == len(row.outcomes) else f" ({len(reached)} of {len(row.outcomes)})"
    return (
        row.recipe,
        words,
        count,
        f"{group.mean:.3f}",
        f"{group.interval.low:.3f} to {group.interval.high:.3f}" if group.interval else "-",
        ", ".join(f"{outcome.score:.3f}" for outcome in row.outcomes),
        "-" if group.alive is None else f"{group.alive:.1f}",
        f"{millions(int(np.median(reached)))}{few}" if reached else "-",
        f"{np.mean([outcome.seconds for outcome in row.outcomes]):.0f}",
    )


def _plain(row: Row) -> dict[str, object]:
    group = row.group
    return {
        "recipe": row.recipe,
        "overrides": dict(row.overrides),
        "trials": row.trials,
        "measure": row.measure if group else None,
        "mean": group.mean if group else None,
        "interval": group.interval if group else None,
        "alive": group.alive if group else None,
        "runs": [asdict(outcome) for outcome in row.outcomes],
    }
