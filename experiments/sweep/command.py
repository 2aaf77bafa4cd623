"""``expirespan sweep``: train recipes over seeds and settings, several trials at a time; a table of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse, split_paths
from expirespan.experiments.settings.passed_on import split_passed_on
from expirespan.experiments.sweep.grid import Grid, read_seeds, split_over, trials
from expirespan.experiments.sweep.options import EngineOptions, Package
from expirespan.experiments.terminal.text import show_table
from expirespan.parameters import Searched

if TYPE_CHECKING:
    from expirespan.experiments.sweep.plan import Plan
    from expirespan.experiments.sweep.search import Search

USAGE = 2
ABOUT = (
    "Train recipes over seeds and settings. Each trial is a run, made by `expirespan train` in a separate process. "
    "At the end it prints what each group of equal settings reached, and writes it to sweep.json and sweep.md. "
    "The same command again goes on where it stopped.\n"
    "--over KEY VALUE ... trains with each value of a setting, such as --over memory.ramp 4 8 16; several --over give "
    "every combination. With --search N, Optuna chooses N settings among these values, or in ranges such as --over "
    "algorithm.learning-rate 1e-4:1e-2. Options after -- are passed to every `expirespan train`."
)


@dataclass(frozen=True)
class SweepOptions(EngineOptions):
    """Which seeds, under which name, how many at a time."""

    name: str = ""
    """Name of the sweep and of its folder under runs; needed."""
    seeds: tuple[str, ...] = ("0",)
    """Seeds: 0:5 is 0 to 4, 0 3 7 are those three."""
    search: Searched = 0
    """Settings to try, chosen by the scores of those before; 0 for every combination."""


def sweep_command(args: Sequence[str]) -> int:
    """0 if every trial is done, 1 if one has failed, 130 if the sweep was stopped."""
    prog = "expirespan sweep RECIPE [RECIPE ...]"
    if not args or args[0] in ("-h", "--help"):
        parse(SweepOptions(), ["--help"], prog, ABOUT)
        return 0 if args else USAGE
    own, more = split_passed_on(args)
    recipes, rest = split_paths(own, "no recipe: the recipes come first, then options")
    over, rest = split_over(rest)
    options = parse(SweepOptions(), rest, prog, ABOUT)
    if not options.name:
        raise UserError(
            "--name is missing: name the sweep, such as --name ramps; its folder is then runs/ramps"
        )
    grid = Grid(tuple(recipes), read_seeds(options.seeds), over, more, options.search)

    from expirespan.experiments.sweep.plan import Plan, check_folder
    from expirespan.experiments.sweep.running import (
        check_engine,
        check_environments,
        check_prunable,
        folder_of,
        make_folder,
        need,
    )

    folder = folder_of(options.name, options.runs)
    check_engine(options)
    if options.search:
        need(Package("optuna", "search"), "--search")
        return _search(grid, folder, options)
    found = trials(grid, folder)
    check_folder(folder, grid)
    check_environments(found)
    if options.prune:
        check_prunable(found)
    make_folder(folder)
    with locked(folder):
        check_folder(folder, grid)
        plan = Plan.open(folder, grid, found)
        return _sweep(plan, options)


def _search(grid: Grid, folder: Path, options: SweepOptions) -> int:
    from expirespan.experiments.sweep.plan import check_folder
    from expirespan.experiments.sweep.running import check_environments, make_folder
    from expirespan.experiments.sweep.search import Search, check_search

    check_environments(check_search(grid, folder, options.engine))
    check_folder(folder, grid)
    make_folder(folder)
    with locked(folder):
        check_folder(folder, grid)
        search = Search.open(grid, folder)
        return _sweep(search.plan, options, search)


def _sweep(plan: Plan, options: SweepOptions, search: Search | None = None) -> int:
    from expirespan.experiments.sweep.results import comparisons, rows, table, write
    from expirespan.experiments.sweep.running import exit_code, print_failed, run

    if search is None:
        run(plan, options)
    else:
        run(plan, options, search.more)
    found = rows(plan)
    paths = write(plan, found)
    show_table(table(found), left=2, spare=("each seed", "95 % interval"))
    print_failed(plan)
    if search is not None:
        print(search.best())
    print("\n".join([*map(str, paths), *comparisons(plan)]))
    return exit_code(plan)
