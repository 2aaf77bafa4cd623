"""Environments where something seen once must be remembered, and most of the rest is better forgotten.

Importing this package registers the ids of `ENVIRONMENTS` with Gymnasium; it stays cheap because entry points
are strings and MiniGrid is imported only when a scalar environment is made or something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expirespan.envs.corridor_vector import CorridorVector
from expirespan.envs.oracles import ORACLES, CorridorOracle, Oracle
from expirespan.envs.registration import ENVIRONMENTS, Environment, register_environments
from expirespan.envs.state import KeepsState, Restorable

if TYPE_CHECKING:
    from expirespan.envs.corridor import Corridor

__all__ = [
    "ENVIRONMENTS",
    "ORACLES",
    "Corridor",
    "CorridorOracle",
    "CorridorVector",
    "Environment",
    "KeepsState",
    "Oracle",
    "Restorable",
]

register_environments()


def __getattr__(name: str) -> Any:
    if name == "Corridor":
        from expirespan.envs.corridor import Corridor

        return Corridor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
