"""Results of a suite: normalised scores of every run, over seeds and tasks, as a table, as curves and as numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from expirespan.experiments.evaluation.aggregate import Estimate, Floats, mean, stratified
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.pictures.suite import Line, draw_suite
from expirespan.experiments.run_folder.evaluations import score_of
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.suite.grid import SuiteGrid, chosen_tasks
from expirespan.experiments.suite.references import Reference, reference
from expirespan.experiments.suite.tasks import Task
from expirespan.experiments.sweep.plan import Entry, Plan
from expirespan.experiments.sweep.trial_run import find_run
from expirespan.experiments.terminal.text import markdown
from expirespan.experiments.training.history import seconds_at

HEADINGS = (
    "memory", "task", "runs", "normalised IQM", "95 % interval", "normalised mean", "95 % interval of the mean",
    "score", "alive", "steps", "seconds",
)  # fmt: skip
NOTES = (
    "Normalised scores are 0 for uniformly random actions and 1 for the best possible score of the task. IQM: "
    "interquartile mean over all runs of all tasks. Intervals: 95 %, by a bootstrap over seeds within each task; they "
    "do not say how other tasks would turn out, and are too narrow for few seeds. Score: mean over seeds of the last "
    "evaluation, success rate or return. Alive: memories per layer, mean over the steps of an episode, then over runs. "
    "Every run took all steps. Seconds: mean wall time of a run, with its evaluations."
)
ALL = "all"
ALIKE = ("95 % interval of the mean", "steps", "seconds", "normalised mean")
"""Columns that a narrow terminal does without."""


@dataclass(frozen=True)
class Outcome:
    """One run: its evaluations' steps, raw and normalised scores, memories alive (None: it has no separate ones), and
    the seconds of training by then."""

    task: str
    memory: str
    seed: int
    run: str
    status: str
    steps: list[int]
    scores: list[float]
    normalised: list[float]
    alive: list[float] | None
    seconds: list[float]


@dataclass(frozen=True)
class Results:
    """All runs that were evaluated, and what the scores of each task are normalised by."""

    grid: SuiteGrid
    references: dict[str, Reference]
    outcomes: list[Outcome]

    def of(self, memory: str, task: str) -> list[Outcome]:
        """Runs of a memory on a task, one for each seed."""
        return [one for one in self.outcomes if (one.memory, one.task) == (memory, task)]


def results(plan: Plan, grid: SuiteGrid) -> Results:
    """What a plan's runs have reached."""
    tasks = {task.name: task for task in chosen_tasks(grid)}
    references = {name: reference(task) for name, task in tasks.items()}
    found = []
    for entry in plan.entries:
        named = dict(entry.trial.overrides)
        task = tasks[named["task"]]
        if one := _outcome(entry, task, named["memory"], references[task.name]):
            found.append(one)
    return Results(grid, references, found)


def table(found: Results) -> list[tuple[str, ...]]:
    """Rows of texts, the first with the headings: each memory over all tasks, then on each."""
    grid = found.grid
    over_all = (
        [_row(found, memory, list(grid.tasks)) for memory in grid.memories] if len(grid.tasks) > 1 else []
    )
    return [HEADINGS, *over_all, *(_row(found, m, [task]) for task in grid.tasks for m in grid.memories)]


def lines(found: Results) -> list[Line]:
    """A line of the picture for each memory that has a run on every task."""
    made = []
    for memory in found.grid.memories:
        groups = [found.of(memory, task) for task in found.grid.tasks]
        if not all(groups):
            continue
        shares = _shares(groups)
        curves = [np.array([_at(one, one.normalised, shares) for one in group]) for group in groups]
        flat = [one for group in groups for one in group]
        alive = None
        if all(one.alive is not None for one in flat):
            alive = np.mean([_at(one, one.alive or [], shares) for one in flat], 0)
        steps, seconds = (
            np.mean([_at(one, getattr(one, name), shares) for one in flat], 0)
            for name in ("steps", "seconds")
        )
        runs = sorted({len(group) for group in groups})
        made.append(Line(memory, "-".join(map(str, runs)), steps, seconds, alive, stratified(curves)))
    return made


def write(plan: Plan, found: Results) -> list[Path]:
    """Write ``suite.json``, ``suite.md`` and, once there is something to draw, ``suite.png``; returns their paths."""
    made, command, grid = provenance(), plan.again(), found.grid
    numbers = {
        "command": command,
        "provenance": made,
        "references": {name: asdict(one) for name, one in found.references.items()},
        "memories": {memory: _summary(found, memory) for memory in grid.memories},
        "runs": [asdict(one) for one in found.outcomes],
    }
    paths = [plan.folder / "suite.json", plan.folder / "suite.md"]
    write_text(paths[0], json.dumps(numbers, default=np.ndarray.tolist) + "\n")
    sources = [
        f"- {name}: {one.chance:.3g} to {one.best:.3g} ({one.source})"
        for name, one in found.references.items()
    ]
    page = [
        f"# Suite {grid.suite}", "", f"`{command}`", "", markdown(table(found)), "", NOTES, "",
        "Scores of chance and of the best, between which scores are normalised:", "", *sources, "",
    ]  # fmt: skip
    if drawn := lines(found):
        title = (
            f"{grid.suite}: {', '.join(grid.tasks)}; {len(grid.seeds)} seed{'s' * (len(grid.seeds) > 1)}, "
            f"{grid.steps:,} steps each"
        )
        paths.append(write_picture(draw_suite(drawn, title), plan.folder / "suite.png"))
        page += ["![Scores against steps, seconds and memory](suite.png)", ""]
    if left := len(plan.entries) - plan.count("done"):
        page += [f"{left} of {len(plan.entries)} trials are not done.", ""]
    page.append(f"Made {made['time']} at commit {made['commit'] or 'unknown'}.")
    write_text(paths[1], "\n".join(page) + "\n")
    return paths


def _outcome(entry: Entry, task: Task, memory: str, by: Reference) -> Outcome | None:
    run = find_run(entry.trial)
    evaluations = run.evaluations() if run else []
    if run is None or not evaluations:
        return None
    scores = [score_of(one, task.measure) for one in evaluations]
    steps = [int(one["step"]) for one in evaluations]
    return Outcome(
        task=task.name,
        memory=memory,
        seed=entry.trial.seed,
        run=str(run.folder),
        status=entry.status,
        steps=steps,
        scores=scores,
        normalised=[by.normalised(score) for score in scores],
        alive=[float(np.mean(one["alive"])) for one in evaluations] if evaluations[-1]["alive"] else None,
        seconds=seconds_at(run, steps),
    )


def _shares(groups: list[list[Outcome]]) -> Floats:
    """Shares of the budget after which scores are compared: every evaluation's, from where all runs have one."""
    ends = [(one.steps[0] / one.steps[-1], one) for group in groups for one in group]
    first = max(share for share, _ in ends)
    every = {step / one.steps[-1] for _, one in ends for step in one.steps}
    return np.array(sorted(share for share in every if share >= first))


def _at(one: Outcome, values: list[Any], shares: Floats) -> Floats:
    """Values of a run's evaluations after shares of its budget: those of the last evaluation by then."""
    own = np.array(one.steps) / one.steps[-1]
    return np.asarray(values, float)[np.searchsorted(own, shares, side="right") - 1]


def _ends(groups: list[list[Outcome]]) -> tuple[Estimate, Estimate]:
    """Interquartile mean and mean of the last normalised scores."""
    last = [np.array([[one.normalised[-1]] for one in group]) for group in groups]
    return stratified(last), stratified(last, mean)


def _row(found: Results, memory: str, tasks: list[str]) -> tuple[str, ...]:
    groups = [found.of(memory, task) for task in tasks]
    flat = [one for group in groups for one in group]
    asked = len(tasks) * len(found.grid.seeds)
    done = sum(one.status == "done" for one in flat)
    name = ALL if len(tasks) > 1 else tasks[0]
    count = str(done) if done == asked else f"{done} of {asked}"
    if not all(groups):
        return (memory, name, count, *["-"] * (len(HEADINGS) - 3))
    alive = [one.alive[-1] for one in flat if one.alive]
    estimates = [text for one in _ends(groups) for text in (f"{one.value[0]:.3f}", _interval(one))]
    return (
        memory,
        name,
        count,
        *estimates,
        f"{np.mean([one.scores[-1] for one in flat]):.3f}" if len(tasks) == 1 else "-",
        f"{np.mean(alive):.1f}" if len(alive) == len(flat) else "-",
        f"{np.mean([one.steps[-1] for one in flat]):,.0f}",
        f"{np.mean([one.seconds[-1] for one in flat]):.0f}",
    )


def _interval(one: Estimate) -> str:
    return "-" if one.low is None or one.high is None else f"{one.low[0]:.3f} to {one.high[0]:.3f}"


def _summary(found: Results, memory: str) -> dict[str, Any] | None:
    groups = [found.of(memory, task) for task in found.grid.tasks]
    return dict(zip(("iqm", "mean"), map(asdict, _ends(groups)), strict=True)) if all(groups) else None
