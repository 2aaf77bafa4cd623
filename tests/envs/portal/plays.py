"""A layout of three rooms, ways through a room, and observations as letters."""

from typing import Any

from expirespan.envs import PortalRoomsVector
from expirespan.envs.portal.rules import KINDS, VIEW

LEFT, RIGHT, FORWARD = range(3)
BY_LEFT, BY_RIGHT = [LEFT, FORWARD, FORWARD, FORWARD], [RIGHT, FORWARD, FORWARD, FORWARD]
LETTERS = dict(zip(".#RGBPYE", range(8), strict=True))
THREE = {
    "layout": {
        "colours": [["red", "blue"], ["grey", "red"], ["green", "yellow"]],
        "leads_on": ["left", "right", "left"],
    }
}


def look(observation: Any) -> tuple[str, int]:
    """An observation as three words of letters, far to near, and the room's number."""
    kinds = observation[:VIEW].reshape(3, 3, len(KINDS))
    assert (kinds.sum(axis=2) == 1).all() and observation[VIEW:].sum() == 1
    letters = [["".join(LETTERS)[kind] for kind in row] for row in kinds.argmax(axis=2)]
    return " ".join("".join(row) for row in letters), int(observation[VIEW:].argmax()) + 1


def play(env: Any, options: dict[str, Any], actions: list[int]) -> list[tuple[Any, ...]]:
    env.reset(options=options)
    wrap = (lambda action: [action]) if isinstance(env, PortalRoomsVector) else int
    return [env.step(wrap(action)) for action in actions]
