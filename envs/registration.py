"""The environments of this package: ids, entry points, and the few facts a test or an experiment needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from expirespan.envs.borrowed.scalar import register_borrowed
from expirespan.parameters import Deviation, Score
from expirespan.ranges import check_fields

__all__ = ["ENVIRONMENTS", "Environment", "register_environments"]


@dataclass(frozen=True)
class Environment:
    """What is known about one registered id.

    Attributes:
        id: the Gymnasium id, in the namespace ``ExpireSpan/``.
        entry_point: ``module:class`` of the scalar, readable, renderable environment.
        vector_entry_point: ``module:class`` of its numpy vector twin.
        optimum: highest expected return of an episode, which the oracle reaches.
        kwargs: constructor parameters of this id, where they differ from the defaults.
        quick: constructor parameters that give short episodes, for tests.
        quick_optimum: the optimum with those; None for the same.
        deviation: standard deviation of the oracle's return between episodes, without ``quick``.
    """

    id: str
    entry_point: str
    vector_entry_point: str
    optimum: Score
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    quick_optimum: Score | None = None
    deviation: Deviation = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


def _tmaze(name: str, corridors: int = 3, **kwargs: Any) -> Environment:
    return Environment(
        id=f"ExpireSpan/EndlessTMaze{name}-v0",
        entry_point="expirespan.envs.tmaze.scalar:EndlessTMaze",
        vector_entry_point="expirespan.envs.tmaze.vector:EndlessTMazeVector",
        optimum=float(corridors),
        kwargs=kwargs | ({"corridors": corridors} if corridors != 3 else {}),
    )


def _portal(name: str, optimum: float, deviation: float = 0.0, **kwargs: Any) -> Environment:
    return Environment(
        id=f"ExpireSpan/PortalRooms{name}-v0",
        entry_point="expirespan.envs.portal.scalar:PortalRooms",
        vector_entry_point="expirespan.envs.portal.vector:PortalRoomsVector",
        optimum=optimum,
        kwargs=kwargs,
        quick={"rooms": 4, "room_size": 3, "max_steps": 40, "pays": "first"},
        quick_optimum=0.6,
        deviation=deviation,
    )


def _instruction(name: str, **kwargs: Any) -> Environment:
    return Environment(
        id=f"ExpireSpan/FindInstruction{name}-v0",
        entry_point="expirespan.envs.instruction.scalar:FindInstruction",
        vector_entry_point="expirespan.envs.instruction.vector:FindInstructionVector",
        optimum=1.0,
        kwargs=kwargs,
        quick={"min_length": 4, "max_length": 12},
    )


ENVIRONMENTS: dict[str, Environment] = {
    environment.id: environment
    for environment in (
        Environment(
            id="ExpireSpan/Corridor-v0",
            entry_point="expirespan.envs.corridor.scalar:Corridor",
            vector_entry_point="expirespan.envs.corridor.vector:CorridorVector",
            optimum=1.0,
            quick={"max_length": 6},
        ),
        _tmaze(""),
        _tmaze("-Uniform", min_length=1),
        _tmaze("-10", corridors=10),
        _tmaze("-10-Uniform", corridors=10, min_length=1),
        _portal("", optimum=248.375, deviation=26.07),
        _portal("-10", optimum=4.5, rooms=10, pays="first"),
        _instruction(""),
        _instruction("-60", max_length=60),
        _instruction("-Revised", revisions="any"),
    )
}
"""Every environment of this package by id."""


def register_environments() -> None:
    """Register every id of `ENVIRONMENTS` and the borrowed ones with Gymnasium; skips those registered already.

    Entry points are strings, so nothing is imported before an environment is made, and there is no
    ``max_episode_steps``: environments truncate by themselves, in the scalar and the vector variant alike.
    """
    for environment in ENVIRONMENTS.values():
        if environment.id not in gym.registry:
            gym.register(
                id=environment.id,
                entry_point=environment.entry_point,
                vector_entry_point=environment.vector_entry_point,
                kwargs=dict(environment.kwargs),
            )
    register_borrowed()
