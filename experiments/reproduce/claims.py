"""The documentation's claims as data: the command that trains, the commands that score, the least they reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

HOLD = 1_000_000
"""Environment steps for which training goes on after the target, to see whether what was learned is held."""


@dataclass(frozen=True)
class Measure:
    """Options of `expirespan evaluate`, which scores the last checkpoint and the best. ``name`` is the table's."""

    name: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A training command and what its agents reach.

    ``train``: recipe and options of `expirespan train`, without the seed. ``measures``: what is scored afterwards.
    ``score``: success or mean_return. ``least``: what every evaluation after the target reaches, and every measure by
    the last checkpoint, which may also be no more than ``slack`` below the best one; None where nothing is claimed.
    ``alive``: most memories per layer, at the end of the longest episodes of the first measure. ``begins``: the claim
    whose run of the same seed gives the weights to begin with. ``target``: whether the target must be reached.
    ``rival``: of a memory beside ours, which the table of all tasks leaves out.
    """

    train: tuple[str, ...]
    measures: tuple[Measure, ...]
    score: Literal["success", "mean_return"] = "success"
    least: float | None = None
    slack: float = 0.0
    alive: float | None = None
    begins: str | None = None
    target: bool = True
    rival: bool = False


def _held(recipe: str, *options: str) -> tuple[str, ...]:
    return (recipe, "--target.hold", str(HOLD), *options)


def _rival(recipe: str, measures: tuple[Measure, ...], *memory: str, begins: str | None = None) -> Claim:
    """The recipe with a memory that has no spans, so without lesson, price and limit."""
    free = ("--forgetting", "none", "--penalty", "constant", "--target.alive", "None")
    train = (recipe, "--memory", *memory, *free)
    return Claim(train, measures, begins=begins, target=False, rival=True)


_CORRIDOR = Measure("3-200 cells")
_LONG = Measure(
    "10,000 cells",
    (
        "--episodes",
        "100",
        "--num-envs",
        "100",
        "--min-length",
        "10000",
        "--max-length",
        "10000",
        "--max-span",
        "32768",
    ),
)
_MAZES = (Measure("3 corridors"), Measure("10 corridors", ("--corridors", "10")))
_WIDE = ("--num-envs", "200")
_ROOMS = (Measure("10 rooms", _WIDE),)
_FIFTY_SHORT = (Measure("300 steps", _WIDE),)
_FIFTY = (Measure("1,000 steps", _WIDE), Measure("actions drawn", (*_WIDE, "--no-deterministic")))
_FEW = (Measure("4 lines"),)
_LINES = tuple(
    Measure(f"{n:,} lines", ("--min-length", str(n), "--max-length", str(n))) for n in (60, 200, 1000)
)
_STRETCHED = tuple(replace(one, options=(*one.options, "--max-span", "16384")) for one in _LINES)
_WINDOW = ("fixed_window", "--memory.window", "64")

CLAIMS: dict[str, Claim] = {
    "corridor": Claim(_held("corridor"), (_CORRIDOR, _LONG), least=0.98, slack=0.005, alive=10),
    "tmaze": Claim(_held("tmaze"), _MAZES, least=0.98, slack=0.005, alive=8),
    "portal": Claim(_held("portal"), _ROOMS, "mean_return", least=4.2, slack=0.05),
    "portal-50-short": Claim(("portal-50-short",), _FIFTY_SHORT, "mean_return", target=False),
    "portal-50": Claim(("portal-50",), _FIFTY, "mean_return", 50.0, target=False, begins="portal-50-short"),
    "instruction-short": Claim(("instruction-short",), _FEW, target=False),
    "instruction": Claim(_held("instruction"), _STRETCHED, least=0.9, slack=0.05, begins="instruction-short"),
    "corridor-a2c": Claim(("corridor-a2c",), (Measure("3-50 cells"),), target=False),
    "instruction-short-lstm": _rival("instruction-short", _FEW, "lstm"),
    "instruction-lstm": _rival("instruction", _LINES, "lstm", begins="instruction-short-lstm"),
    "instruction-short-window": _rival("instruction-short", _FEW, *_WINDOW),
    "instruction-window": _rival("instruction", _LINES, *_WINDOW, begins="instruction-short-window"),
}  # fmt: skip
"""By the name under which `expirespan reproduce` knows them."""
