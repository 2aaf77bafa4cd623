"""``expirespan sweep``: train recipes over seeds and settings, several trials at a time; a table of the scores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.run_folder.names import check_name, check_path
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse, split_paths
from expirespan.experiments.sweep.grid import Grid, Trial, read_seeds, split_over, trials
from expirespan.experiments.sweep.plan import Plan, again, check_folder
from expirespan.experiments.terminal.text import fitted, show_table
from expirespan.parameters import Jobs, Retries

USAGE, STOPPED = 2, 130
ABOUT = (
    "Train recipes over seeds and settings. Each trial is a run, made by `expirespan train` in a separate process. "
    "At the end it prints what each group of equal settings reached, and writes it to sweep.json and sweep.md. "
    "The same command again goes on where it stopped.\n"
    "--over KEY VALUE ... trains with each value of a setting, such as --over memory.ramp 4 8 16; several --over give "
    "every combination. Options after -- are passed to every `expirespan train`."
)


@dataclass(frozen=True)
class SweepOptions:
    """Which seeds, under which name, how many at a time."""

    name: str = ""
    """Name of the sweep and of its folder under runs; needed."""
    seeds: tuple[str, ...] = ("0",)
    """Seeds: 0:5 is 0 to 4, 0 3 7 are those three."""
    engine: Literal["local"] = "local"
    """What runs the trials: local is processes on this machine."""
    jobs: Jobs = 0
    """Trials at a time, one thread each unless --threads follows the --; 0 for as many as there are cores."""
    retries: Retries = 1
    """Further attempts of a trial that fails, each from its last checkpoint."""
    runs: str = "runs"
    """Folder in which the sweep's folder is."""


def sweep_command(args: Sequence[str]) -> int:
    """0 if every trial is done, 1 if one has failed, 130 if the sweep was stopped."""
    prog = "expirespan sweep RECIPE [RECIPE ...]"
    if not args or args[0] in ("-h", "--help"):
        parse(SweepOptions(), ["--help"], prog, ABOUT)
        return 0 if args else USAGE
    end = list(args).index("--") if "--" in args else len(args)
    recipes, rest = split_paths(args[:end], "no recipe: the recipes come first, then options")
    over, rest = split_over(rest)
    options = parse(SweepOptions(), rest, prog, ABOUT)
    grid = Grid(tuple(recipes), read_seeds(options.seeds), over, tuple(args[end + 1 :]))
    folder = _folder(options)
    found = trials(grid, folder)
    check_folder(folder, grid)
    _check_environments(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; choose a folder you may write to with --runs FOLDER"
        ) from None
    with locked(folder):
        check_folder(folder, grid)
        return _sweep(Plan.open(folder, grid, found), options)


def _sweep(plan: Plan, options: SweepOptions) -> int:
    from expirespan.experiments.sweep.display import Display
    from expirespan.experiments.sweep.driver import Driver
    from expirespan.experiments.sweep.local import LocalEngine
    from expirespan.experiments.sweep.results import comparisons, rows, table, write
    from expirespan.experiments.training.interrupt import StopOnSignal

    display = Display(plan)
    jobs = options.jobs or cores()
    driver = Driver(plan, LocalEngine(), jobs, options.retries, display.update, display.say)
    print(fitted(f"{len(plan.entries)} trials, {jobs} at a time, in {plan.folder}"), flush=True)
    try:
        with StopOnSignal() as signal, display.showing():
            driver.run(signal)
    finally:
        done = plan.count("done")
        if done < len(plan.entries):
            command = again(plan.folder, plan.grid)  # one line, which can be pasted
            print(f"{done} of {len(plan.entries)} trials are done; to go on: {command}")
    found = rows(plan)
    paths = write(plan, found)
    show_table(table(found), left=2, spare=("each seed", "95 % interval"))
    for entry in plan.entries:
        if entry.status == "failed":
            lines = "\n".join(f"  {line}" for line in entry.error.splitlines())
            print(
                f"failed: {entry.trial.title}; its output is in {plan.folder}/trials/{entry.trial.name}.log\n{lines}"
            )
    print("\n".join([*map(str, paths), *comparisons(plan)]))
    return STOPPED if plan.count("stopped", "waiting") else int(plan.count("failed") > 0)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folder(options: SweepOptions) -> Path:
    """The sweep's folder.

    Raises:
        UserError: the options do not fit.
    """
    if not options.name:
        raise UserError(
            "--name is missing: name the sweep, such as --name ramps; its folder is then runs/ramps"
        )
    check_name("name", options.name)
    check_path("runs", options.runs)
    if options.jobs < 0 or options.retries < 0:
        raise UserError(f"jobs={options.jobs}, retries={options.retries}: expected at least 0 of each")
    return Path(options.runs) / options.name


def _check_environments(found: list[Trial]) -> None:
    """Raise UserError if an environment's package is missing, or its constructor does not take an argument."""
    import expirespan.envs  # noqa: F401  (registers the environments)
    from expirespan.experiments.making.registered import check_arguments, spec_of

    environments = {repr(env): env for trial in found for env in (trial.config.env, trial.config.eval_env)}
    for env in environments.values():
        check_arguments(spec_of(env), env.parameters)
