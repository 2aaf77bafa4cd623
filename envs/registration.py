"""The environments of this package: ids, entry points, and the few facts a test or an experiment needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

__all__ = ["ENVIRONMENTS", "Environment", "register_environments"]


@dataclass(frozen=True)
class Environment:
    """What is known about one registered id.

    Attributes:
        id: the Gymnasium id, in the namespace ``ExpireSpan/``.
        entry_point: ``module:class`` of the scalar, readable, renderable environment.
        vector_entry_point: ``module:class`` of its numpy vector twin.
        optimum: highest expected return of an episode, which the oracle reaches with ``quick`` parameters.
        quick: constructor parameters that give short episodes, for tests.
    """

    id: str
    entry_point: str
    vector_entry_point: str
    optimum: float
    quick: Mapping[str, Any] = field(default_factory=dict)


ENVIRONMENTS: dict[str, Environment] = {
    environment.id: environment
    for environment in (
        Environment(
            id="ExpireSpan/Corridor-v0",
            entry_point="expirespan.envs.corridor:Corridor",
            vector_entry_point="expirespan.envs.corridor_vector:CorridorVector",
            optimum=1.0,
            quick={"max_length": 6},
        ),
    )
}
"""Every environment of this package by id."""


def register_environments() -> None:
    """Register every id of `ENVIRONMENTS` with Gymnasium; does nothing for those already registered.

    Entry points are strings, so nothing is imported before an environment is made, and there is no
    ``max_episode_steps``: environments truncate by themselves, in the scalar and the vector variant alike.
    """
    for environment in ENVIRONMENTS.values():
        if environment.id not in gym.registry:
            gym.register(
                id=environment.id,
                entry_point=environment.entry_point,
                vector_entry_point=environment.vector_entry_point,
            )
