"""The suites as data: a line for each task. `references.json` beside it has what chance and the oracle reach there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    ``train``: recipe and options of `expirespan train`, without memory, seed and length. ``measure``: what an
    evaluation is scored by. ``best``: highest score that anyone can reach, and ``source``: how that is known; None
    where our oracle was measured.
    """

    name: str
    train: tuple[str, ...]
    measure: Literal["success", "mean_return"]
    best: float | None = None
    source: str = "our oracle"


@dataclass(frozen=True)
class Suite:
    """``steps``: environment steps of each training, the same for all its tasks and memories."""

    about: str
    steps: int
    tasks: tuple[Task, ...]


POPGYM = "bound: POPGym's returns lie between -1 and 1 (Morad et al. 2023, arXiv 2303.01859)"
MEMORY_GYM = (
    "bound by the rewards that the environment's defaults pay (Pleines et al. 2025, arXiv 2309.17207)"
)
MINIGRID = "bound of a success rate: the matching object can always be reached (Minigrid, MemoryEnv)"


def _popgym(name: str, *options: str) -> Task:
    return Task(name, ("own", "--env.id", f"popgym-{name}-v0", *options), "mean_return", 1.0, POPGYM)


def _memory_gym(name: str, best: float) -> Task:
    resize = "gymnasium.wrappers.ResizeObservation(shape=(42,42))"
    return Task(
        name, ("own", "--env.id", f"{name}-v0", "--env.wrappers", resize), "mean_return", best, MEMORY_GYM
    )


def _minigrid(name: str) -> Task:
    view = "expirespan.envs.borrowed.scalar.MiniGridView"
    return Task(
        name, ("own", "--env.id", f"MiniGrid-{name}-v0", "--env.wrappers", view), "success", 1.0, MINIGRID
    )


SUITES: dict[str, Suite] = {
    "own": Suite(
        "this package's environments",
        2_000_000,
        (
            Task("corridor", ("corridor",), "success"),
            Task("tmaze", ("tmaze",), "success"),
            Task("portal", ("portal",), "mean_return"),
            Task("instruction", ("instruction-short",), "success"),
        ),
    ),
    "popgym-easy": Suite(
        "POPGym's easy environments, without the labyrinths; needs popgym",
        1_000_000,
        (
            _popgym("AutoencodeEasy", "--env.wrappers", "gymnasium.wrappers.FlattenObservation"),
            _popgym("BattleshipEasy"),
            _popgym("ConcentrationEasy"),
            _popgym("CountRecallEasy"),
            _popgym("HigherLowerEasy"),
            _popgym("MineSweeperEasy"),
            _popgym("MultiarmedBanditEasy"),
            _popgym("NoisyPositionOnlyCartPoleEasy"),
            _popgym("NoisyPositionOnlyPendulumEasy"),
            _popgym("PositionOnlyCartPoleEasy"),
            _popgym("PositionOnlyPendulumEasy"),
            _popgym("RepeatFirstEasy"),
            _popgym("RepeatPreviousEasy"),
            _popgym("VelocityOnlyCartpoleEasy"),
        ),
    ),
    "memory-gym": Suite(
        "Memory Gym's finite environments, images of 42 x 42; needs memory-gym",
        2_000_000,
        (
            _memory_gym("MortarMayhem-Grid", 1.0),
            _memory_gym("MortarMayhem", 1.0),
            _memory_gym("MysteryPath-Grid", 1.0),
            _memory_gym("SearingSpotlights", 1.25),
        ),
    ),
    "minigrid-memory": Suite(
        "MiniGrid's memory rooms: see an object, then turn to its like at the end of a hallway",
        1_000_000,
        tuple(_minigrid(f"Memory{size}") for size in ("S7", "S9", "S11", "S13", "S13Random", "S17Random")),
    ),
}
"""Every suite by name."""
