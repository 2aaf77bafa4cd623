"""The oracle of every registered environment: from observations alone it reaches the optimum on the card."""

from __future__ import annotations

from expirespan.envs.base.oracle import Oracle
from expirespan.envs.corridor.oracle import CorridorOracle
from expirespan.envs.instruction.oracle import FindInstructionOracle
from expirespan.envs.portal.oracle import PortalRoomsOracle
from expirespan.envs.tmaze.oracle import EndlessTMazeOracle

__all__ = ["ORACLES"]

ORACLES: dict[str, type[Oracle]] = {
    "ExpireSpan/Corridor-v0": CorridorOracle,
    "ExpireSpan/EndlessTMaze-v0": EndlessTMazeOracle,
    "ExpireSpan/EndlessTMaze-Uniform-v0": EndlessTMazeOracle,
    "ExpireSpan/EndlessTMaze-10-v0": EndlessTMazeOracle,
    "ExpireSpan/EndlessTMaze-10-Uniform-v0": EndlessTMazeOracle,
    "ExpireSpan/PortalRooms-v0": PortalRoomsOracle,
    "ExpireSpan/PortalRooms-10-v0": PortalRoomsOracle,
    "ExpireSpan/FindInstruction-v0": FindInstructionOracle,
    "ExpireSpan/FindInstruction-60-v0": FindInstructionOracle,
    "ExpireSpan/FindInstruction-Revised-v0": FindInstructionOracle,
}
"""The oracle of every registered environment, by id."""
