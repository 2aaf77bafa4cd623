"""The documentation's claims as data: the command that trains, the commands that score, the least they reach."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    train: tuple[str, ...]
    measures: tuple[Measure, ...]
    score: Literal["success", "mean_return"] = "success"
    least: float | None = None
    slack: float = 0.0
    alive: float | None = None
    begins: str | None = None
    target: bool = True


def _held(recipe: str, *options: str) -> tuple[str, ...]:
    return (recipe, "--target.hold", str(HOLD), *options)


def _baseline(recipe: str, memory: str, *options: str) -> tuple[str, ...]:
    free = ("--forgetting", "none", "--penalty", "constant", "--target.alive", "None")
    return (recipe, "--memory", memory, *free, *options)


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
_ROOMS = (Measure("10 rooms", ("--num-envs", "200")),)
_LINES = tuple(
    Measure(f"{n:,} lines", ("--min-length", str(n), "--max-length", str(n), "--max-span", "16384"))
    for n in (60, 200, 1000)
)

_BRIEF = ("--total-timesteps", "1.5e6")

CLAIMS: dict[str, Claim] = {
    "corridor": Claim(_held("corridor"), (_CORRIDOR, _LONG), least=0.98, slack=0.005, alive=10),
    "tmaze": Claim(_held("tmaze"), _MAZES, least=0.98, slack=0.005, alive=8),
    "portal": Claim(_held("portal"), _ROOMS, "mean_return", least=4.2, slack=0.05),
    "instruction-short": Claim(("instruction-short",), (Measure("4 lines"),), target=False),
    "instruction": Claim(_held("instruction"), _LINES, least=0.9, slack=0.05, begins="instruction-short"),
    "corridor-lstm": Claim(("corridor-lstm",), (_CORRIDOR,), target=False),
    **{
        f"corridor-window{n}": Claim(("corridor-window", "--memory.window", str(n)), (_CORRIDOR,), target=False)
        for n in (8, 16, 32, 64, 128, 256)
    },
    "portal-lstm": Claim(_baseline("portal", "lstm", *_BRIEF), _ROOMS, "mean_return", target=False),
    "portal-window": Claim(
        _baseline("portal", "fixed_window", "--memory.window", "64", *_BRIEF), _ROOMS, "mean_return", target=False
    ),
}  # fmt: skip
"""By the name under which `expirespan reproduce` knows them."""
