"""The portal rooms as one MiniGrid environment; its card is the docstring of `PortalRooms`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from minigrid.core.grid import Grid

from expirespan.envs.base.grid_pictures import COLOURS, minigrid_object
from expirespan.envs.base.minigrid import LayoutMiniGridEnv
from expirespan.envs.base.moves import FORWARD, LEFT
from expirespan.envs.portal import rules as portal_rules
from expirespan.envs.portal.rules import VIEW, WALL, Layout, Observation, Place, PortalRules
from expirespan.parameters import Colours, Mistakes, Multiple, Pays, RoomCode, Rooms, RoomSize, StepLimit

__all__ = ["PortalRooms"]

Room = list[list[int]]


def _mission() -> str:
    return "find the door that leads on in each room, and remember it"


class PortalRooms(LayoutMiniGridEnv):
    """``ExpireSpan/PortalRooms-v0``: remember which doors led on.

    Description
        A chain of `rooms` rooms. Each has two doors of different colours: one leads on to the next room, the
        other back to the first. Which is which is drawn for each room and episode, never shown, and stays. So a
        door must be tried, and remembered: a room where one has been wrong comes again after all those before
        it, and a second mistake in the same room ends the episode.

        Each room from above, with the agent ``>`` as it arrives; ``R`` and ``B`` are a red and a blue door::

            ###R###
            #.....#
            #.....#
            #..>..#
            #.....#
            #.....#
            ###B###

    What must be remembered
        For each room passed or tried, which door leads on: one bit a room, read from where the door led.

    For how long
        Until the episode's end. After a mistake in room m, each room up to m comes again 4 (m - 1) steps after it
        was left: up to 192 steps, and what was learnt in one of the first rooms is used a dozen times and more.

    Action space
        ``Discrete(3)``: 0 turn left, 1 turn right, 2 walk forward. Walls stop the agent.

    Observation space
        ``Box(0, 1, (72 + rooms,), uint8)``. The first 72 are MiniGrid's view of 3x3 cells ahead of the agent,
        through walls, as a flattened one-hot array (3, 3, 8): its row from far (0) to near (2), its column from
        the agent's left (0) to its right (2), and the kind of thing: 0 empty, 1 wall, 2 to 7 a door that is red,
        green, blue, purple, yellow or grey. The agent is in row 2, column 1, facing row 1. The others are the
        room's number, 1 for the first, one-hot (absent without `show_room`; see `room_code`). With
        `show_direction` the last four are the direction that the agent faces, one-hot: east, south, west, north.

        The info has ``cue`` (bool, whether the agent has just come through a door: where it stands tells which
        door is right), ``room`` (int, 1 for the first) and ``furthest`` (int, the furthest room so far), and at
        the end of the episode ``is_success`` (bool, whether the last room was reached).

    Reward
        `reward_scale` * k for moving on from room k, at each time; with ``pays="first"`` only the first time in
        an episode. 0 for all else.

    Start
        In the middle of the first room, facing east; so the agent arrives in every room, with the left door to the
        north and the right door to the south. Colours are any two different ones, the door that leads on is either
        with equal chance, all independent. ``reset(options={"layout": {"colours": [["red", "blue"], ["grey",
        "red"]], "leads_on": ["left", "right"]}})`` fixes them, with one item for each room.

    Episode end
        Terminated by reaching the last room, and by mistake number `mistakes` + 1 in one room; truncated after
        `max_steps` steps otherwise.

    Parameters
        rooms (50): how many, at least 2. The last one only has to be reached.
        room_size (5): side of a room in cells, odd, at least 3. Leaving it takes 1 + (room_size + 1) / 2 steps.
        colours (6): colours that doors can have, 2 to 6.
        mistakes (1): wrong doors that may be taken in each room.
        max_steps (1000): steps until truncation; enough to reach the last room.
        reward_scale (0.1): see Reward; at least 0.
        pays ("every"): or "first", see Reward. When every passage pays, a mistake has its good side, as the way
            back to it pays once more; with few rooms and many steps, the best player takes wrong doors on purpose.
            Use "first" where the return should tell how much was remembered.
        show_room (True): whether the room's number is in the observation.
        room_code ("one-hot"): or "binary", the room's number in as many bits as `rooms` needs, the lowest first: 6
            inputs in the place of 50. An agent that has learned to compare bits in the first rooms can compare
            those of rooms that it has not met yet, whereas each input of the one-hot code is learned by itself.
        show_direction (False): whether the direction is in the observation, as in MiniGrid's own. Both doors look
            the same from inside but for their colours. So an agent that sees neither this nor its last action
            remembers colours, and must turn to look for them: five steps in the place of three through half of
            the doors it knows, in rooms of 3x3.
        render_mode (None): "rgb_array" or "ansi", the room and how far the agent has come, or "human".
        ValueError for any other value.

        Registered variants: ``ExpireSpan/PortalRooms-10-v0`` has 10 rooms and pays="first".

    Optimum
        248.4 in the mean, with a standard deviation of 26.1 between episodes: try an unknown door, remember it, and
        walk straight; exact, from the recursion over the rooms known and the doors still to be taken, of which
        1000 steps allow 250. Such a player gets to room 30 or so (to the last in one of 100,000 episodes). Taking
        wrong doors on purpose pays only if the end is within reach: with 10 rooms and time for all, it earns 13.6
        instead of 10.5. PortalRooms-10: 4.5 in every episode, and success 1.

    Chance
        A uniform random policy earns 0.33, and 0.28 in PortalRooms-10; first episodes of 100,000 environments.

    Memoryless ceiling
        0.64, exact. All that such an agent can do is to take the left door in each room with some chance. Coin
        flips make 0.61, always the same door 0.40; best is a chance of 0.9 in the first room, 0.8 in the second, and
        coin flips from the third or fourth on. In PortalRooms-10 coin flips are best: 0.44, and success 0.006.

    Source
        The multi-room portal task of Sukhbaatar et al., "Not All Memories are Created Equal: Learning to Forget by
        Expiring", 2021, arXiv 2105.06548. From there: 50 rooms of 5x5, two doors of different colours, one on and
        one back to the start, drawn per episode; the end at the second mistake in a room, at the last room or
        after 1000 steps; 0.1 k for moving on. Ours, where we know of nothing definite there: where doors are and
        agents arrive, the actions, the view, that every passage pays. pays="first", room_code and
        show_direction are additions.

    Version history
        v0: first version.
    """

    ACTIONS = portal_rules.ACTIONS
    observation_image = staticmethod(portal_rules.observation_image)

    def __init__(
        self,
        rooms: Rooms = 50,
        room_size: RoomSize = 5,
        colours: Colours = 6,
        mistakes: Mistakes = 1,
        max_steps: StepLimit = 1000,
        reward_scale: Multiple = 0.1,
        pays: Pays = "every",
        show_room: bool = True,
        room_code: RoomCode = "one-hot",
        show_direction: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.rules = PortalRules(
            rooms,
            room_size,
            colours,
            mistakes,
            max_steps,
            reward_scale,
            pays,
            show_room,
            room_code,
            show_direction,
        )
        side = self.rules.room_size + 2
        super().__init__(_mission, self.rules.observation_space(), (side, side), render_mode)
        self.layout: Layout | None = None

    def _parse(self, layout: Any) -> Layout:
        return self.rules.parse(layout)

    def _begin(self, layout: Layout | None) -> None:
        if layout is None:
            drawn = self.np_random.random(self.rules.draws)[None]
            colours, leads_on = (each[0].tolist() for each in self.rules.from_draws(drawn))
            layout = Layout(tuple(map(tuple, colours)), tuple(leads_on))
        self.layout, self.max_steps = layout, self.rules.max_steps
        self._mistakes, self._furthest = [0] * self.rules.rooms, 0
        self._arrive(0, through_a_door=False)

    def _arrive(self, room: int, through_a_door: bool) -> None:
        assert self.layout is not None
        self._room, self._came_through = room, through_a_door
        self._things, self.grid = _room(self.rules.room_size, self.layout.colours[room])
        self.agent_pos, self.agent_dir = (self.rules.middle, self.rules.middle), 0

    def _act(self, action: int) -> tuple[float, bool, bool]:
        self._came_through = False
        if action != FORWARD:
            self.agent_dir = (self.agent_dir + (-1 if action == LEFT else 1)) % 4
            return 0.0, False, False
        x, y = (int(coordinate) for coordinate in self.front_pos)
        if self._things[y][x] == WALL:
            return 0.0, False, False
        self.agent_pos = (x, y)
        inside = 0 < y <= self.rules.room_size
        return (0.0, False, False) if inside else self._enter_door(0 if y == 0 else 1)

    def _enter_door(self, side: int) -> tuple[float, bool, bool]:
        assert self.layout is not None
        room = self._room
        if side != self.layout.leads_on[room]:
            self._mistakes[room] += 1
            self._arrive(0, through_a_door=True)
            return 0.0, self._mistakes[room] > self.rules.mistakes, False
        pays = self.rules.pays == "every" or room == self._furthest
        self._furthest = max(self._furthest, room + 1)
        self._arrive(room + 1, through_a_door=True)
        at_the_end = room + 1 == self.rules.rooms - 1
        return self.rules.reward_scale * (room + 1) * pays, at_the_end, at_the_end

    def gen_obs(self) -> Observation:
        """What the agent sees now, in place of MiniGrid's dict."""
        observation = np.zeros(self.observation_space.shape or (), np.uint8)
        assert self.layout is not None
        x, y = (int(coordinate) for coordinate in self.agent_pos)
        colours = self.layout.colours[self._room]
        observation[:VIEW] = _seen(self.rules.room_size, colours, x, y, self.agent_dir)
        room, direction = np.array([self._room]), np.array([self.agent_dir])
        self.rules.write_number_and_direction(observation[None], room, direction)
        return observation

    def _facts(self) -> dict[str, Any]:
        return {"cue": self._came_through, "room": self._room + 1, "furthest": self._furthest + 1}

    def _place(self) -> Place:
        assert self.layout is not None
        x, y = (int(coordinate) for coordinate in self.agent_pos)
        colours = self.layout.colours[self._room]
        return Place(x, y, self.agent_dir, colours, self._room, self._furthest, tuple(self._mistakes))

    def picture(self, tile: int = 32) -> npt.NDArray[np.uint8]:
        """The room and a strip of all rooms, pixels (height, width, 3); see `portal_rules.map_image`."""
        return portal_rules.map_image(self.rules.room_size, self._place(), tile)

    def text(self) -> str:
        """The room as text; see `portal_rules.map_text`."""
        return portal_rules.map_text(self.rules.room_size, self._place())


@lru_cache(maxsize=2**14)
def _seen(size: int, colours: tuple[int, int], x: int, y: int, direction: int) -> Observation:
    """The view from (x, y), flattened: an agent sees the same again and again."""
    return portal_rules.view(_room(size, colours)[0], x, y, direction).ravel()


@cache
def _room(size: int, colours: tuple[int, int]) -> tuple[Room, Grid]:
    """A room's cells and MiniGrid's grid of it, shared by all rooms of these colours; nothing ever changes them."""
    things = portal_rules.room_things(size, colours)
    names = ["", "wall", *(f"door {colour}" for colour in COLOURS)]
    grid = Grid(size + 2, size + 2)
    grid.grid = [minigrid_object(names[kind]) for row in things for kind in row]
    return things, grid
