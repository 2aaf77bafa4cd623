"""``expirespan train``: a recipe, a file of settings or a run to go on with, and options."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from expirespan import plugins
from expirespan.experiments.recipes import RECIPES, find_recipe
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.config_file import read_config
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import PARTS, parse_config
from expirespan.experiments.terminal.text import facts, fitted
from expirespan.experiments.training.launch import (
    check_sharing,
    in_torchrun,
    take_options,
    train_as_worker,
    train_with_workers,
)

USAGE, STOPPED = 2, 130


def train_command(args: Sequence[str]) -> int:
    """0 if training ended, 130 if it was stopped."""
    chosen, args = take_options(args)
    if not args or args[0] in ("-h", "--help"):
        print(_train_help())
        return 0 if args else USAGE
    workers = chosen.get("--workers", 1)
    if in_torchrun():
        if workers > 1:
            raise UserError(
                f"--workers {workers} starts torchrun, which has started this process: leave it out"
            )
        return train_as_worker(lambda: _read(args), _train)
    config, resume = _read(args)
    check_sharing(config, workers)
    if workers > 1:
        return train_with_workers(args, workers, chosen.get("--max-restarts", 0))
    return _train(config, resume)


def _read(args: Sequence[str]) -> tuple[Config, Run | None]:
    """The settings that are asked for, and the run to go on with."""
    prog = "expirespan train"
    resume = None
    first, *rest = args
    source, equals, path = first.partition("=")
    if source in ("--resume", "--config"):
        if not equals and not rest:
            raise UserError(
                f"{source} needs a path: {'a run folder' if source == '--resume' else 'a YAML file'}"
            )
        path = path if equals else rest.pop(0)
        if source == "--resume":
            resume = Run.open(path)
        default, about = resume.config if resume else read_config(Path(path)), f"settings of {path}"
        prog = f"{prog} {source} {path}"
    elif first.startswith("-"):
        raise UserError(f"{first!r} is no recipe: the recipe comes first, one of {', '.join(RECIPES)}")
    else:
        recipe = find_recipe(first)
        default, prog = recipe.config, f"{prog} {first}"
        about = f"{recipe.summary}.\nSource: {recipe.source}. Expected: {recipe.expected}."
    return parse_config(default, rest, prog, about), resume


def _train(config: Config, resume: Run | None) -> int:
    from expirespan.experiments.training.header import next_words
    from expirespan.experiments.training.progress import duration
    from expirespan.experiments.training.train import train

    result = train(config, resume)
    if result.run is None:  # another worker writes and speaks
        return STOPPED if result.interrupted else 0
    took = f"after {result.steps:,} environment steps ({duration(result.seconds)})"
    if result.interrupted:
        print(f"stopped {took}; to go on: expirespan train --resume {quoted(result.run.folder)}")
        return STOPPED
    if result.was_complete:
        print(fitted(_nothing_left(config, result.run, result.steps)))
        return 0
    print({True: "target met", False: "target not met", None: "ended"}[result.reached_target], took)
    if result.kept:
        print(fitted(result.kept))
    print(facts([("picture", str(result.picture)), *next_words(result.run)]))
    return 0


def _nothing_left(config: Config, run: Run, steps: int) -> str:
    folder = quoted(run.folder)
    if steps < config.total_timesteps:
        more = f"to train on: expirespan train --resume {folder} --target.hold STEPS"
    else:
        more = f"to train on: expirespan train --resume {folder} --total-timesteps N"
    return f"nothing is left to do: {run.folder} has {steps:,} of {config.total_timesteps:,} steps; {more}"


def _train_help() -> str:
    lines = [
        "usage: expirespan train RECIPE [--setting VALUE ...]",
        "       expirespan train --config FILE.yaml [--setting VALUE ...]",
        "       expirespan train --resume RUN [--total-timesteps N]",
        "       expirespan train ... --workers N [--max-restarts N]   in N processes, see docs/workers.md",
        "",
        "recipes (`expirespan train RECIPE --help` lists its settings):",
    ]
    for name, recipe in RECIPES.items():
        text = f"{recipe.summary}; expected: {recipe.expected}"
        lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<22}", subsequent_indent=" " * 24)
    lines += _added()
    example = (
        "expirespan train corridor --seed 3 --total-timesteps 1e6 --env.max-length 50 --memory.max-span 128"
    )
    return "\n".join([*lines, "", PARTS, "", f"example: {example}"])


def _added() -> list[str]:
    """Lines of help on what installed packages add; they are not imported."""
    found = plugins.entry_points()
    added = {
        f"{option}{entry.name}{rest}": plugins.package_of(entry)
        for option, group, rest in (
            ("", plugins.RECIPES, ""),
            ("--memory ", plugins.MEMORIES, ""),
            ("--env.id ", plugins.ENVIRONMENTS, "/..."),
            ("--loggers ", plugins.LOGGERS, ""),
        )
        for entry in sorted(found.select(group=group), key=lambda entry: entry.name)
    }
    lines = [f"  {name:<26}of the package {package}" for name, package in added.items()]
    return ["", "added by installed packages:", *lines] if lines else []
