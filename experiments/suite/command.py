"""``expirespan suite``: memories compared on several tasks over seeds; one table, one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.settings import CountOrNone
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse
from expirespan.experiments.settings.passed_on import split_passed_on
from expirespan.experiments.suite.grid import SuiteGrid, chosen_tasks, find_suite, suite_trials
from expirespan.experiments.suite.memories import NAMES, USUAL
from expirespan.experiments.suite.references import reference
from expirespan.experiments.suite.tasks import SUITES
from expirespan.experiments.sweep.grid import read_seeds
from expirespan.experiments.sweep.options import EngineOptions
from expirespan.experiments.terminal.text import show_table

if TYPE_CHECKING:
    from expirespan.experiments.sweep.plan import Plan

USAGE = 2
ABOUT = (
    "Train memories on all tasks of a suite over seeds, with equal budgets, each training in a separate process as in "
    "`expirespan sweep`. At the end it prints one table and draws one picture: scores normalised between chance and "
    "the best possible, interquartile mean and mean with intervals, against steps, seconds and memories alive. The "
    "same command again goes on where it stopped. Options after -- are passed to every `expirespan train`."
)


@dataclass(frozen=True)
class SuiteOptions(EngineOptions):
    """What to train, and how long."""

    name: str = ""
    """Name of the suite's folder under runs; suite-SUITE unless given."""
    seeds: tuple[str, ...] = ("0:3",)
    """Seeds: 0:5 is 0 to 4, 0 3 7 are those three."""
    memories: tuple[str, ...] = USUAL
    """Memories by their registered names, keep_all (a Transformer that forgets nothing) or gtrxl (gated); NAME:STEPS
    for another reach than the task's."""
    tasks: tuple[str, ...] = ()
    """Tasks of the suite; all unless given."""
    total_timesteps: CountOrNone = 0
    """Environment steps of each training; 0 for the suite's."""


def suite_command(args: Sequence[str]) -> int:
    """0 if every trial is done, 1 if one has failed, 130 if they were stopped."""
    prog = "expirespan suite SUITE"
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else USAGE
    if args[0].startswith("-"):
        raise UserError(f"{args[0]!r} is no suite: the suite comes first, one of {', '.join(SUITES)}")
    suite = find_suite(args[0])
    own, more = split_passed_on(args[1:])
    options = parse(SuiteOptions(), own, prog, ABOUT)
    grid = SuiteGrid(
        args[0],
        options.tasks or tuple(task.name for task in suite.tasks),
        options.memories,
        read_seeds(options.seeds),
        options.total_timesteps or suite.steps,
        more,
    )

    from expirespan.experiments.sweep.plan import Plan, check_folder
    from expirespan.experiments.sweep.running import (
        check_engine,
        check_environments,
        folder_of,
        make_folder,
    )

    if options.prune:
        raise UserError("--prune would give the memories of a suite unequal budgets; leave it out")
    folder = folder_of(options.name or f"suite-{grid.suite}", options.runs)
    found = suite_trials(grid, folder)
    for task in chosen_tasks(grid):
        reference(task)
    check_engine(options)
    check_folder(folder, grid)
    check_environments(found)
    make_folder(folder)
    with locked(folder):
        check_folder(folder, grid)
        return _suite(Plan.open(folder, grid, found), grid, options)


def _suite(plan: Plan, grid: SuiteGrid, options: SuiteOptions) -> int:
    from expirespan.experiments.suite.results import ALIKE, results, table, write
    from expirespan.experiments.sweep.running import exit_code, print_failed, run

    run(plan, options)
    found = results(plan, grid)
    paths = write(plan, found)
    show_table(table(found), left=2, spare=ALIKE)
    print_failed(plan)
    print("\n".join(map(str, paths)))
    return exit_code(plan)


def _help() -> str:
    lines = [
        "usage: expirespan suite SUITE [--seeds 0:3] [--memories NAME ...] [--tasks NAME ...] [--total-timesteps N]",
        "                        [--jobs N] [--engine local|ray|submitit] [-- options of `expirespan train`]",
        "",
        *textwrap.wrap(ABOUT, 100),
        "",
        "suites:",
    ]
    for name, suite in SUITES.items():
        tasks = ", ".join(task.name for task in suite.tasks)
        text = f"{suite.about}. {suite.steps:,} steps each. Tasks: {tasks}"
        lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<18}", subsequent_indent=" " * 20)
    return "\n".join(
        [*lines, "", f"memories: {', '.join(NAMES)}; {', '.join(USUAL)} unless others are named"]
    )
