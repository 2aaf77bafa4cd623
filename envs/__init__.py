"""Environments where something seen once must be remembered, and most of the rest is better forgotten.

Importing this package registers the ids of `ENVIRONMENTS` with Gymnasium; it stays cheap because entry points
are strings and MiniGrid is imported only when a scalar environment is made or something is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from expirespan.envs.base.frame_stack import VectorFrameStackObservation
from expirespan.envs.base.oracle import Oracle
from expirespan.envs.base.state import KeepsState, Restorable
from expirespan.envs.corridor.oracle import CorridorOracle
from expirespan.envs.corridor.vector import CorridorVector
from expirespan.envs.instruction.oracle import FindInstructionOracle
from expirespan.envs.instruction.vector import FindInstructionVector
from expirespan.envs.oracles import ORACLES
from expirespan.envs.portal.oracle import PortalRoomsOracle
from expirespan.envs.portal.vector import PortalRoomsVector
from expirespan.envs.registration import ENVIRONMENTS, Environment, register_environments
from expirespan.envs.tmaze.oracle import EndlessTMazeOracle
from expirespan.envs.tmaze.vector import EndlessTMazeVector

if TYPE_CHECKING:
    from expirespan.envs.corridor.scalar import Corridor
    from expirespan.envs.instruction.scalar import FindInstruction
    from expirespan.envs.portal.scalar import PortalRooms
    from expirespan.envs.tmaze.scalar import EndlessTMaze

__all__ = [
    "ENVIRONMENTS",
    "ORACLES",
    "Corridor",
    "CorridorOracle",
    "CorridorVector",
    "EndlessTMaze",
    "EndlessTMazeOracle",
    "EndlessTMazeVector",
    "Environment",
    "FindInstruction",
    "FindInstructionOracle",
    "FindInstructionVector",
    "KeepsState",
    "Oracle",
    "PortalRooms",
    "PortalRoomsOracle",
    "PortalRoomsVector",
    "Restorable",
    "VectorFrameStackObservation",
]

register_environments()


_LAZY = {
    "Corridor": "corridor.scalar",
    "EndlessTMaze": "tmaze.scalar",
    "FindInstruction": "instruction.scalar",
    "PortalRooms": "portal.scalar",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
