"""The corridor as one MiniGrid environment; its card is the docstring of `Corridor`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from minigrid.core.grid import Grid

from expirespan.envs.base.minigrid import LayoutMiniGridEnv
from expirespan.envs.base.moves import EAST, FORWARD, LEFT, STEP
from expirespan.envs.base.view import view_cells
from expirespan.envs.corridor import pictures as corridor_pictures
from expirespan.envs.corridor import rules as corridor_rules
from expirespan.envs.corridor.rules import (
    AISLE,
    BLUE_BALL,
    RED_BALL,
    WALL,
    CorridorRules,
    Layout,
    Observation,
)
from expirespan.parameters import CorridorLength, Lengths, StepLimit

__all__ = ["Corridor"]


def _mission() -> str:
    return "enter the door that has the colour of the ball"


class Corridor(LayoutMiniGridEnv):
    """``ExpireSpan/Corridor-v0``: remember one colour down a corridor.

    Description
        A straight corridor, 1 cell wide and `length` cells long. A ball, red or blue, lies beside the
        first cell. At the far end are two doors, a red one and a blue one, on either side. Enter the door
        that has the ball's colour. Nothing on the way tells anything.

        Seen from above, with length 7 and the agent ``>`` at the start; ``r`` ball, ``R`` and ``B`` doors::

            #########
            #r#####B#
            #>......#
            #######R#
            #########

        The cells of the corridor are (1, 2) to (length, 2) as (x, y), with y growing downwards; the ball
        is at (1, 1), the doors at (length, 1) and (length, 3). All else is wall.

    What must be remembered
        The colour of the ball: one bit.

    For how long
        Walking straight, the ball is seen in the first observation only, and the colour decides the turn
        `length` - 1 steps later: 2 to 199 steps with the default parameters. All between can be forgotten.

    Action space
        ``Discrete(3)``: 0 turn left, 1 turn right, 2 walk forward. Walls and the ball stop the agent.

    Observation space
        ``Box(0, 1, (3, 3, 6), uint8)``: MiniGrid's view of 3x3 cells ahead of the agent, through walls,
        one-hot. Axis 0 is the view's row, from far (0) to near (2), axis 1 its column, from the agent's
        left (0) to its right (2), axis 2 the kind of thing: 0 empty, 1 wall, 2 red ball, 3 blue ball, 4
        red door, 5 blue door. The agent is in row 2, column 1, facing row 1. Its own cell shows what it
        holds: empty, or the door just entered, in the last observation (where MiniGrid would show empty).

        The info has ``cue`` (bool, whether the ball is in this observation) and ``length`` (int), and at
        the end of the episode ``is_success`` (bool).

    Reward
        1 for entering the door of the ball's colour, else 0.

    Start
        At (1, 2), facing the corridor. Length, ball colour and the sides of the doors are drawn
        independently, the colours and sides with equal chance. ``reset(options={"layout": {"length": 5,
        "ball": "red", "red_door": "left"}})`` fixes all three, where left and right are those of an agent
        walking in; `length` may then be any integer from 3.

    Episode end
        Terminated by entering either door; truncated after `max_steps` steps otherwise.

    Parameters
        min_length (3), max_length (200): bounds of `length`, both included, at least 3.
        length_distribution ("uniform"): or "log_uniform", with P(length) proportional to log((length + 1)
            / length), which makes short corridors common: 23 % of those drawn from 3 to 200 are 7
            long at most; or "mixed", either of the two with equal chance.
        max_steps (None): steps until truncation; None for 4 * length + 16, for each episode its own.
        render_mode (None): "rgb_array" or "ansi", a window of the map 21 cells wide around the agent, or
            "human".
        ValueError for any other value.

    Optimum
        1.0, in `length` + 1 steps.

    Chance
        A uniform random policy earns 0.003 with the default parameters (it mostly runs out of time), 0.03
        with log-uniform lengths, and 0.21 at length 3; first episodes of 100,000 environments, seed 0.

    Memoryless ceiling
        0.5 from length 4 on: no view shows the ball from the last cell, which is always entered facing
        the end, so the choice of door cannot depend on the ball. At length 3 an agent that turns round at
        the doors sees ball and doors together, and a random choice in the view where it would otherwise
        turn for ever reaches 0.87 (with `p` the chance to enter there, (1 - p) / 2 + (1 - (1 - p)^13) /
        2, largest at p = 0.19). Over the default lengths that makes 0.502, with log-uniform lengths
        0.526. Use ``min_length=4`` for 0.5.

    Source
        The Corridor task of Sukhbaatar et al., "Not All Memories are Created Equal: Learning to Forget by
        Expiring", 2021, arXiv 2105.06548. From there: the task, the colours, the reward of 1, and lengths
        uniform in 3 to 200. Ours, where we know of nothing definite there: ball and doors as MiniGrid
        draws them, the actions, the one-hot view ahead of the agent, the end without reward at the wrong
        door, the time limit. "log_uniform" and "mixed" are additions.

    Version history
        v0: first version.
    """

    ACTIONS = corridor_rules.ACTIONS
    observation_image = staticmethod(corridor_pictures.observation_image)
    observation_words = staticmethod(corridor_rules.observation_words)

    def __init__(
        self,
        min_length: CorridorLength = 3,
        max_length: CorridorLength = 200,
        length_distribution: Lengths = "uniform",
        max_steps: StepLimit | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = CorridorRules(min_length, max_length, length_distribution, max_steps)
        size = (min_length + 2, 2 * AISLE + 1)
        super().__init__(_mission, corridor_rules.observation_space(), size, render_mode)
        self.layout: Layout | None = None

    def _parse(self, layout: Any) -> Layout:
        return Layout.parse(layout)

    def _begin(self, layout: Layout | None) -> None:
        layout = layout or self.rules.draw(self.np_random)
        self.layout, self.max_steps = layout, self.rules.step_limit(layout.length)
        self.width, self.height = layout.length + 2, 2 * AISLE + 1
        self.agent_pos, self.agent_dir = (1, AISLE), EAST
        things = corridor_pictures.minigrid_objects()
        self.grid = Grid(self.width, self.height)
        # All walls are one object: filling cell by cell would take 20 ms for a corridor of 10,000.
        self.grid.grid = [things[corridor_rules.WALL]] * (self.width * self.height)
        for x in range(1, layout.length + 1):
            self.grid.set(x, AISLE, None)
        for x, y in ((1, AISLE - 1), (layout.length, AISLE - 1), (layout.length, AISLE + 1)):
            self.grid.set(x, y, things[layout.kind(x, y)])

    def _act(self, action: int) -> tuple[float, bool, bool]:
        if action != FORWARD:
            self.agent_dir = (self.agent_dir + (-1 if action == LEFT else 1)) % 4
            return 0.0, False, False
        layout, x, y, direction = self._pose()
        x, y = x + STEP[direction][0], y + STEP[direction][1]
        if layout.kind(x, y) in (WALL, RED_BALL, BLUE_BALL):
            return 0.0, False, False
        self.agent_pos = (x, y)
        enters = y != AISLE  # beside the aisle one can only stand in a door
        success = enters and layout.pays(y)
        return float(success), enters, success

    def gen_obs(self) -> Observation:
        """What the agent sees now, in place of MiniGrid's dict; see `corridor_rules.observe`."""
        return _observed(*self._pose()).copy()

    def _facts(self) -> dict[str, Any]:
        layout, x, y, direction = self._pose()
        ball = any(cell[2:] == (1, AISLE - 1) for cell in view_cells(x, y, direction))
        return {"cue": ball, "length": layout.length}

    def _pose(self) -> tuple[Layout, int, int, int]:
        assert self.layout is not None
        return self.layout, int(self.agent_pos[0]), int(self.agent_pos[1]), self.agent_dir

    def picture(self, tile: int = 32) -> npt.NDArray[np.uint8]:
        """The map around the agent, 21 cells wide; see `corridor_pictures.map_image`."""
        return corridor_pictures.map_image(*self._pose(), tile=tile)

    def text(self) -> str:
        """The same as text; see `corridor_pictures.map_text`."""
        return corridor_pictures.map_text(*self._pose())


_observed = lru_cache(maxsize=2**14)(corridor_rules.observe)
"""What was seen where before: an agent sees the same again and again."""
