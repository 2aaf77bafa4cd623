"""``expirespan reproduce``: train, score, compare with the documentation, report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from expirespan.experiments.recipes import configured
from expirespan.experiments.reproduce.claims import CLAIMS
from expirespan.experiments.reproduce.outcome import Outcome, shortcomings
from expirespan.experiments.reproduce.tables import DOCUMENTED, comparison, write_tables
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.options import parse, split_paths
from expirespan.experiments.settings.passed_on import OURS, check_passed_on, split_passed_on
from expirespan.parameters import Seed, Threads

if TYPE_CHECKING:
    from expirespan.experiments.reproduce.runner import Runner


@dataclass(frozen=True)
class ReproduceOptions:
    """Which seeds, and where."""

    seeds: tuple[Seed, ...] = (0,)
    """Seeds to train."""
    jobs: Threads = 1
    """Seeds to train at the same time, one thread each."""
    output: Path = Path("runs/reproduce")
    """Folder for TASK-SEED.json; a seed whose file is there is not run again."""
    runs: Path = Path("runs/reproduce")
    """Folder for the runs; a run that was interrupted goes on."""
    documented: Path = DOCUMENTED
    """Folder of the outcomes that the documentation shows."""


def reproduce_command(args: Sequence[str]) -> int:
    """0 if every claim holds, 1 if one does not.

    Raises:
        UserError: a seed could not be trained or scored; told after the others are done.
    """
    prog = "expirespan reproduce TASK [TASK ...]"
    about = (
        "Run the commands of docs/results.md at this commit, one process each, and compare. Exit code 1 if a claim "
        "does not hold. One seed of tmaze takes about ten minutes on one core, of corridor half an hour.\n"
        f"Tasks: {', '.join(CLAIMS)}.\nOptions after -- are passed to `expirespan train`. "
        "`expirespan reproduce --tables` writes the tables of README and docs anew."
    )
    if not args or args[0] in ("-h", "--help"):
        parse(ReproduceOptions(), ["--help"], prog, about)
        return 0 if args else 2
    if list(args) == ["--tables"]:
        print("\n".join(map(str, write_tables())))
        return 0
    own, more = split_passed_on(args)
    tasks, rest = split_paths(own, "no task: tasks come first, then options")
    options = parse(ReproduceOptions(), rest, prog, about)
    check_passed_on(more, OURS, "reproduce")
    for task in tasks:
        if task not in CLAIMS:
            raise unknown("task", task, CLAIMS)
        recipe, *train = CLAIMS[task].train
        configured(recipe, [*train, *more])
    if not options.seeds:
        raise UserError("seeds=(): expected at least one, such as --seeds 0")
    for folder in (options.output, options.runs):
        folder.mkdir(parents=True, exist_ok=True)
    from expirespan.experiments.reproduce.runner import Runner

    runner = Runner(options.output, options.runs, more)
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(task, seed) for task in tasks for seed in dict.fromkeys(options.seeds)]
        found = dict(zip(jobs, pool.map(partial(_attempt, runner), jobs), strict=True))
    outcomes = [one for one in found.values() if isinstance(one, Outcome)]
    if outcomes:
        print(comparison(outcomes, options.documented))
    short = {f"{o.task} {o.seed}": shortcomings(CLAIMS[o.task], o) for o in outcomes}
    for name, sentences in short.items():
        for sentence in sentences:
            print(f"{name}: {sentence}")
    if failed := [
        f"{task} {seed}: {one}" for (task, seed), one in found.items() if isinstance(one, UserError)
    ]:
        raise UserError("; ".join(failed))
    return int(any(short.values()))


def _attempt(runner: Runner, job: tuple[str, int]) -> Outcome | UserError:
    """The outcome of a seed, or what prevented it: the other seeds go on."""
    try:
        return runner.outcome(*job)
    except UserError as error:
        return error
