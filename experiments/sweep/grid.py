"""Grid of a sweep: recipes, settings and seeds as they are typed, and the trials that follow, parsed and checked."""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.recipes import configured, find_recipe
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.config_file import to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.passed_on import OURS, check_passed_on, flags_of

Overrides = tuple[tuple[str, str], ...]
_LONGEST = 80


@dataclass(frozen=True)
class Grid:
    """``over``: keys and their values; ``more``: options of every training; ``search``: settings to choose; 0: all."""

    recipes: tuple[str, ...]
    seeds: tuple[int, ...]
    over: tuple[tuple[str, tuple[str, ...]], ...] = ()
    more: tuple[str, ...] = ()
    search: int = 0

    def words(self) -> dict[str, str]:
        """Each part as it is typed, for people and to compare."""
        over = [shlex.join(["--over", key, *values]) for key, values in self.over]
        return {
            "recipes": " ".join(self.recipes),
            "--seeds": " ".join(map(str, self.seeds)),
            "--over": " ".join(over).removeprefix("--over "),
            "--search": str(self.search or ""),
            "options after --": shlex.join(self.more),
        }

    def command(self, folder: Path, engine: str = "") -> str:
        """The command of a sweep in a folder, as it is typed; ``engine``: options on what runs it."""
        over = [word for key, values in self.over for word in ("--over", key, *values)]
        search = ["--search", str(self.search)] if self.search else []
        words = ["expirespan", "sweep", *self.recipes, "--seeds", *map(str, self.seeds), *over, *search]
        return f"{shlex.join(words)} --name {quoted(folder.name)}{where(folder)}{engine}{after(self.more)}"


def where(folder: Path) -> str:
    """The option that chooses the folder of a sweep's folder, empty for the usual one."""
    return "" if str(folder.parent) == "runs" else f" --runs {quoted(folder.parent)}"


def after(more: Sequence[str]) -> str:
    """The options of every training as they are typed, empty for none."""
    return f" -- {shlex.join(more)}" if more else ""


@dataclass(frozen=True)
class Trial:
    """One training: a recipe, settings on top of it by key, and a seed. ``config``: all its settings, checked."""

    recipe: str
    overrides: Overrides
    seed: int
    config: Config
    args: tuple[str, ...]

    @property
    def settings(self) -> str:
        """The overrides in words; empty for none."""
        return ", ".join(f"{key}={value}" for key, value in self.overrides)

    @property
    def title(self) -> str:
        """Recipe, overrides and seed in words."""
        return " ".join([self.recipe, *(f"{k}={v}" for k, v in self.overrides), f"seed {self.seed}"])

    @property
    def name(self) -> str:
        """A name for files, which no other trial of the sweep has."""
        return "-".join([self.recipe, *filter(None, [folder_name(self.overrides)]), str(self.seed)])


def trials(grid: Grid, folder: Path) -> list[Trial]:
    """Every trial, seeds of equal settings side by side; their runs lie in ``folder``.

    Raises:
        UserError: a recipe or key is unknown, a value does not fit, the grid is empty or has a trial twice.
    """
    check_grid(grid)
    found: list[Trial] = []
    for recipe in grid.recipes:
        for values in itertools.product(*(values for _, values in grid.over)):
            overrides = tuple(zip((key for key, _ in grid.over), values, strict=True))
            found += trials_of(grid, recipe, overrides, folder)
    seen: dict[str, Trial] = {}
    for trial in found:
        same = re.sub(r"^runs: .*\n", "", to_yaml(trial.config), flags=re.M)
        if same in seen:
            raise UserError(
                f"{seen[same].title} and {trial.title} have the same settings: leave one of them out"
            )
        seen[same] = trial
    return found


def trials_of(grid: Grid, recipe: str, overrides: Overrides, folder: Path) -> list[Trial]:
    """The trials of one setting: one for each seed.

    Raises:
        UserError: a key is unknown, or a value does not fit.
    """
    flags = tuple(word for key, value in overrides for word in _flag(key, value))
    return [make_trial(recipe, overrides, seed, (*grid.more, *flags), folder) for seed in grid.seeds]


def make_trial(recipe: str, overrides: Overrides, seed: int, options: Sequence[str], folder: Path) -> Trial:
    """A trial whose run lies in the folder of a sweep, under the name of its ``overrides``.

    ``options``: of `expirespan train`, the overrides among them.

    Raises:
        UserError: an option is unknown, or a value does not fit.
    """
    runs = folder / folder_name(overrides)
    args = (*options, "--seed", str(seed), "--runs", str(runs))
    try:
        config = configured(recipe, args)
    except UserError as error:
        of = " ".join([recipe, *(f"{key}={value}" for key, value in overrides)])
        raise UserError(f"{of}: {error}") from None
    return Trial(recipe, overrides, seed, config, ("train", recipe, *args))


def folder_name(overrides: Overrides) -> str:
    """Name of the folder for runs with these settings: readable, and different for different ones."""
    text = ",".join(f"{key}={value}" for key, value in overrides)
    plain = re.sub(r"[^\w.,=+-]", "_", text)[:_LONGEST]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def read_seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """Seeds from ``0:5``, which is 0 to 4, or ``0 3 7``, or both.

    Raises:
        UserError: they are no numbers, or there is none, or one twice.
    """
    seeds: list[int] = []
    for text in texts:
        found = re.fullmatch(r"(\d+)(?::(\d+))?", text, re.ASCII)
        if not found:
            raise UserError(
                f"seeds={text!r}: expected numbers such as 0 3 7, or a range such as 0:5, which is 0 to 4"
            )
        first, end = int(found[1]), found[2]
        seeds += [first] if end is None else range(first, int(end))
    if not seeds:
        raise UserError(
            f"seeds={' '.join(texts)!r} has no seed: expected at least one, such as 0:5, which is 0 to 4"
        )
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise UserError(f"seeds: {twice[0]} is there twice; give each seed once")
    return tuple(seeds)


def split_over(args: Sequence[str]) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], list[str]]:
    """Take each ``--over KEY VALUE ...`` out of ``args``; what is left comes second.

    Raises:
        UserError: a key or its values are missing, or a key is there twice.
    """
    over: dict[str, tuple[str, ...]] = {}
    rest: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word.startswith("--over="):
            raise UserError(f"{word!r}: write --over KEY VALUE ..., such as --over memory.ramp 4 8")
        if word != "--over":
            rest.append(word)
            continue
        count = next((i for i, other in enumerate(words) if other.startswith("--")), len(words))
        given, words = words[:count], words[count:]
        if len(given) < 2 or "" in given:
            raise UserError(
                f"--over {' '.join(given)}: expected a setting and its values, such as --over memory.ramp 4 8"
            )
        key = given[0].replace("_", "-")
        if key in over:
            raise UserError(f"--over {key} is there twice: give all its values to one --over")
        if twice := [value for value in given[1:] if given[1:].count(value) > 1]:
            raise UserError(f"--over {key}: {twice[0]!r} is there twice; give each value once")
        over[key] = tuple(given[1:])
    return tuple(over.items()), rest


def check_grid(grid: Grid) -> None:
    """Raise UserError if a recipe is unknown, or a setting is given twice or is one that the sweep sets."""
    for recipe in grid.recipes:
        find_recipe(recipe)
    if twice := [name for name in grid.recipes if grid.recipes.count(name) > 1]:
        raise UserError(f"recipe {twice[0]!r} is there twice; give each once")
    keys = [key for key, _ in grid.over]
    for key, instead in OURS.items():
        if key in keys:
            raise UserError(f"--over {key}: the sweep sets it itself; {instead}")
    check_passed_on(grid.more, OURS, "the sweep")
    flags = flags_of(grid.more)
    if both := [key for key in keys if key in flags]:
        raise UserError(f"--over {both[0]} is also given after --: give it once")


def _flag(key: str, value: str) -> list[str]:
    """A setting as an option of `train`: true and false as flags, several values in one text as several words."""
    if value.lower() in ("true", "false"):
        part, dot, name = key.rpartition(".")
        return [f"--{part}{dot}{'' if value.lower() == 'true' else 'no-'}{name}"]
    if len(words := value.split()) > 1:
        return [f"--{key}", *words]
    return [f"--{key}={value}"] if value.startswith("-") else [f"--{key}", value]
