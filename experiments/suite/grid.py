"""Grid of a suite: the trials of every task, memory and seed, parsed and checked."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.passed_on import OURS, check_passed_on
from expirespan.experiments.suite.memories import options_of
from expirespan.experiments.suite.tasks import SUITES, Suite, Task
from expirespan.experiments.sweep.grid import Trial, after, make_trial, where

EVALUATIONS = 10
"""Evaluations of a training, at equal distances."""
ALL_STEPS = ("--target.success", "None", "--target.mean-return", "None", "--target.alive", "None")
"""No training ends early, so that all have the same budget."""
TASK, MEMORY = "task", "memory"


@dataclass(frozen=True)
class SuiteGrid:
    """What was asked for. ``steps`` of each training; ``more``: options of every training."""

    suite: str
    tasks: tuple[str, ...]
    memories: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    more: tuple[str, ...] = ()

    def words(self) -> dict[str, str]:
        """Each part as it is typed, for people and to compare."""
        return {
            "suite": self.suite,
            "--tasks": " ".join(self.tasks),
            "--memories": " ".join(self.memories),
            "--seeds": " ".join(map(str, self.seeds)),
            "--total-timesteps": str(self.steps),
            "options after --": shlex.join(self.more),
        }

    def command(self, folder: Path, engine: str = "") -> str:
        """The command of a suite in a folder, as it is typed; ``engine``: options on what runs it."""
        words = self.words()
        said = " ".join(f"{flag} {text}" for flag, text in words.items() if flag.startswith("--"))
        return f"expirespan suite {self.suite} {said} --name {folder.name}{where(folder)}{engine}{after(self.more)}"


def find_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        UserError: there is none.
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES)
    return SUITES[name]


def chosen_tasks(grid: SuiteGrid) -> list[Task]:
    """The tasks of a suite that were asked for.

    Raises:
        UserError: one is unknown or named twice.
    """
    known = {task.name: task for task in find_suite(grid.suite).tasks}
    for name in grid.tasks:
        if name not in known:
            raise unknown(f"task of the suite {grid.suite}", name, known)
    return [known[name] for name in grid.tasks]


def suite_trials(grid: SuiteGrid, folder: Path) -> list[Trial]:
    """Every trial, seeds side by side.

    Raises:
        UserError: a suite, task or memory is unknown or there twice, or an option does not fit.
    """
    ours = OURS | {"memory": "--memories before the -- names the memories"}
    check_passed_on(grid.more, ours, "the suite")
    for what, names in (("task", grid.tasks), ("memory", grid.memories)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"{what} {twice[0]!r} is there twice; give each once")
        if not names:
            raise UserError(f"no {what} is named: expected at least one")
    budget = (
        "--total-timesteps",
        str(grid.steps),
        "--evaluation.every",
        str(max(1, grid.steps // EVALUATIONS)),
    )
    found = []
    for task in chosen_tasks(grid):
        recipe, *options = task.train
        for memory in grid.memories:
            chosen = options_of(memory, find_recipe(recipe).config)
            given = (*options, *chosen, *ALL_STEPS, *budget, *grid.more)
            overrides = ((TASK, task.name), (MEMORY, memory))
            found += [make_trial(recipe, overrides, seed, given, folder) for seed in grid.seeds]
    return found
