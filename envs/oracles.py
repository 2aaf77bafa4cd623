"""Players that know the rules: from observations alone they reach the optimum on the environment's card."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from expirespan.envs.corridor_rules import BLUE_BALL, EMPTY, RED_BALL, RED_DOOR
from expirespan.envs.instruction_lines import grammar_lines
from expirespan.envs.instruction_rules import TOKEN_LENGTH
from expirespan.envs.moves import FORWARD, LEFT, RIGHT
from expirespan.envs.portal_rules import DOOR, KINDS, VIEW
from expirespan.envs.tmaze_rules import CUE_LEFT, CUE_RIGHT, JUNCTION

__all__ = [
    "ORACLES",
    "CorridorOracle",
    "EndlessTMazeOracle",
    "FindInstructionOracle",
    "Oracle",
    "PortalRoomsOracle",
]


class Oracle(Protocol):
    """A batched player; make one with the number of environments it plays."""

    def __init__(self, num_envs: int) -> None: ...

    def act(self, observations: Any, episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Choose an action for each environment.

        Args:
            observations: a batch, as the vector environment gives it.
            episode_starts: (num_envs,) true where an episode begins; what was remembered is cleared.
        """
        ...


class CorridorOracle:
    """Remembers the last ball it saw, walks on, turns to the door of that colour and enters: return 1."""

    def __init__(self, num_envs: int) -> None:
        self._ball = np.full(num_envs, -1)  # 0 red, 1 blue, -1 not seen yet

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 3, 3, 6); see `Oracle.act`."""
        views: npt.NDArray[np.bool_] = np.asarray(observations, dtype=bool)
        self._ball[np.asarray(episode_starts, dtype=bool)] = -1
        balls: npt.NDArray[np.bool_] = np.any(views[..., RED_BALL : BLUE_BALL + 1], axis=(1, 2))
        self._ball = np.where(balls.any(axis=1), balls.argmax(axis=1), self._ball)
        right_door = np.take_along_axis(views, (RED_DOOR + self._ball)[:, None, None, None], axis=3)[..., 0]
        right_door &= self._ball[:, None, None] >= 0
        return np.select(
            [right_door[:, 1, 1], right_door[:, 2, 0], right_door[:, 2, 2], views[:, 1, 1, EMPTY]],
            [FORWARD, LEFT, RIGHT, FORWARD],
            default=LEFT,
        )


class EndlessTMazeOracle:
    """Walks on to each junction and turns to the side of the last cue it saw: return 1 for each corridor."""

    def __init__(self, num_envs: int) -> None:
        self._cue = np.full(num_envs, LEFT)

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 4); see `Oracle.act`. Every episode opens with a cue."""
        cues = np.asarray(observations)[:, CUE_LEFT : CUE_RIGHT + 1] > 0
        self._cue = np.where(cues.any(axis=1), cues.argmax(axis=1), self._cue)
        return np.where(np.asarray(observations)[:, JUNCTION] > 0, self._cue, FORWARD)


class PortalRoomsOracle:
    """Takes the door it knows to lead on, else the left one, and remembers where it came out.

    It needs the room's number in the observation. Every room takes it the fewest steps possible, and it makes no
    mistake twice, nor any on purpose.
    """

    def __init__(self, num_envs: int) -> None:
        self._num_envs = num_envs
        self._leads_on = np.zeros((num_envs, 0), np.int64)  # 0 left, 1 right, -1 not known
        self._side = np.zeros(num_envs, np.int64)  # of the door it goes to
        self._room = np.zeros(num_envs, np.int64)  # where it was
        self._turned = np.zeros(num_envs, np.bool_)
        self._enters = np.zeros(num_envs, np.bool_)  # the action before took it through a door

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, 72 + rooms); see `Oracle.act`.

        Raises:
            ValueError: the observations have no room number.
        """
        numbers = np.asarray(observations)[:, VIEW:]
        if not numbers.shape[1]:
            raise ValueError(
                "this oracle must see the room's number: make the environment with show_room=True"
            )
        starts = np.asarray(episode_starts, dtype=bool)
        if self._leads_on.shape[1] != numbers.shape[1]:
            self._leads_on = np.full(numbers.shape, -1)
        self._leads_on[starts] = -1
        room, rows = numbers.argmax(axis=1), np.arange(self._num_envs)
        came = np.flatnonzero(self._enters & ~starts)
        right = room[came] == self._room[came] + 1
        self._leads_on[came, self._room[came]] = np.where(right, self._side[came], 1 - self._side[came])
        self._turned &= ~(self._enters | starts)
        self._side = np.where(self._turned, self._side, np.maximum(self._leads_on[rows, room], 0))
        action = np.where(self._turned, FORWARD, np.where(self._side == 0, LEFT, RIGHT))
        ahead = np.asarray(observations)[:, :VIEW].reshape(-1, 3, 3, len(KINDS))[:, 1, 1]
        self._enters = ahead[:, DOOR:].any(axis=1) & (action == FORWARD)
        self._room, self._turned = room, np.ones(self._num_envs, np.bool_)
        return action


class FindInstructionOracle:
    """Reads on, remembers the last instruction to it, and at its turn carries that out: return 1.

    It knows our grammar: an instruction to this agent has "you to", then a verb (or "forget"), "the", an object of two
    words, "to the" and a recipient.
    """

    def __init__(self, num_envs: int) -> None:
        ids = grammar_lines(TOKEN_LENGTH).ids
        self._you, self._to, self._your = ids["you"], ids["to"], ids["your"]
        self._turn, self._forget = ids["turn"], ids["forget"]
        self._told: list[list[int]] = [[] for _ in range(num_envs)]

    def act(self, observations: npt.NDArray[Any], episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Actions (num_envs,) for observations (num_envs, token_length); see `Oracle.act`."""
        lines = np.asarray(observations)
        for i in np.flatnonzero(np.asarray(episode_starts, dtype=bool)):
            self._told[i] = []
        instructs = (lines[:, :-1] == self._you) & (lines[:, 1:] == self._to)
        for i, at in zip(*np.nonzero(instructs), strict=True):
            verb, _, material, thing, _, _, person, *_ = lines[i, at + 2 :].tolist() + [0] * 7
            self._told[i] = [] if verb == self._forget else [verb, material, thing, person]
        actions = np.zeros(len(lines), np.int64)
        for i in np.flatnonzero((lines[:, 0] == self._your) & (lines[:, 1] == self._turn)):
            offers = lines[i, 2:22].reshape(4, 5)[:, 1:].tolist()
            actions[i] = 1 + offers.index(self._told[i]) if self._told[i] in offers else 0
        return actions


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
