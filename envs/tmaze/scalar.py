"""The endless T-maze as one MiniGrid environment; its card is the docstring of `EndlessTMaze`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from minigrid.core.grid import Grid

from expirespan.envs.base.grid_pictures import minigrid_object
from expirespan.envs.base.minigrid import LayoutMiniGridEnv
from expirespan.envs.base.moves import FORWARD
from expirespan.envs.tmaze import rules as tmaze_rules
from expirespan.envs.tmaze.rules import CUE_LEFT, JUNCTION, POSITION, Layout, Observation, Place, TMazeRules
from expirespan.parameters import Corridors, Cost, MazeLength, StepLimit

__all__ = ["EndlessTMaze"]


def _mission() -> str:
    return "at each junction turn to the side that the last cue told"


class EndlessTMaze(LayoutMiniGridEnv):
    """``ExpireSpan/EndlessTMaze-v0``: remember a cue, use it, and let the next one replace it.

    Description
        A row of corridors, each of which ends in a T-junction. At the start of each a cue tells left or right;
        at its end, turn to that side. The right turn leads to the start of the next corridor, the wrong one
        ends the episode. The cues are independent, so the one that was just used tells nothing any more.

        One corridor of length 5 seen from above, with the agent ``>`` at the start. The ball ``b`` on its left
        is the cue to turn left; a cue to turn right is drawn as ``r`` on its right::

            ########
            #b####.#
            #>.....#
            ######.#
            ########

    What must be remembered
        The last cue: one bit, replaced by the next one in every corridor.

    For how long
        Walking straight, `length` steps: from the start of a corridor to its junction. Nothing older matters.

    Action space
        ``Discrete(3)``: 0 turn left, 1 turn right, 2 walk forward. Turns count only at the junction and walking
        only before it; any other action leaves the agent where it is.

    Observation space
        ``Box(0, 1, (4,), float32)``: 0 whether the cue is left, 1 whether it is right (both 0 away from the start
        of a corridor), 2 whether this is the junction, 3 the position, steps from the start of the corridor
        divided by `max_length`. The last observation, after the last turn, is all zero.

        The info has ``cue`` (bool, whether a cue is in this observation) and ``passed`` (int, corridors passed),
        and at the end of the episode ``is_success`` (bool, whether all were passed).

    Reward
        1 for a right turn, -1 for a wrong one, and -`delay_penalty` for an action that leaves the agent where it
        is.

    Start
        At the start of the first corridor. Lengths are uniform in `min_length` to `max_length`, cues left or
        right with equal chance, all independent. ``reset(options={"layout": {"lengths": [5, 5, 5], "cues":
        ["left", "right", "left"]}})`` fixes them, with one item for each corridor.

    Episode end
        Terminated by a wrong turn or by passing the last corridor; truncated after `max_steps` steps otherwise.

    Parameters
        corridors (3): n, how many.
        min_length (5), max_length (5): bounds of each corridor's length, both included, at least 1. Equal bounds
            are the paper's Fixed regime, 1 and the length its Uniform one.
        delay_penalty (0.01): see Reward; at least 0.
        max_steps (None): steps until truncation, enough to walk all corridors; None for
            6 * (max_length + 1) * corridors.
        render_mode (None): "rgb_array" or "ansi", a window of the corridor 15 cells wide around the agent and the
            count of corridors, or "human".
        ValueError for any other value.

        Registered variants: ``ExpireSpan/EndlessTMaze-Uniform-v0`` has min_length 1,
        ``ExpireSpan/EndlessTMaze-10-v0`` 10 corridors, ``ExpireSpan/EndlessTMaze-10-Uniform-v0`` both.

    Optimum
        `corridors`, 3 by default, in the sum of the lengths + `corridors` steps; success 1.

    Chance
        A uniform random policy succeeds in 0.5^n of episodes (0.125) and earns -0.184 by default: right and wrong
        turns cancel, and it dawdles for 10.5 steps in each corridor that it enters.

    Memoryless ceiling
        Return 0, and success 0.5^n, 0.125 by default: no observation at a junction tells the cue, so each turn
        pays 1 or -1 with equal chance, and not turning costs.

    Source
        The Endless T-Maze of "Memory Retention Is Not Enough to Master Memory Tasks in Reinforcement Learning",
        AAMAS 2026, arXiv 2601.15086. From there and from its authors' code: the task, the three actions, the
        meaning of a length, the regimes (n of 1, 3, 5, 10; lengths of 5 or 10, fixed or uniform from 1), +1 and a
        small penalty for delay, success as all corridors passed, and the time limit. -1 for a wrong turn is the
        paper's; the code gives the penalty for delay. There, an observation is (position, cue left, cue right).
        Ours also tells the junction, without which corridors of random length cannot be told from their ends;
        walking on at a junction is a delay here and a wrong turn in their code.

    Version history
        v0: first version.
    """

    ACTIONS = tmaze_rules.ACTIONS
    observation_image = staticmethod(tmaze_rules.observation_image)
    observation_words = staticmethod(tmaze_rules.observation_words)

    def __init__(
        self,
        corridors: Corridors = 3,
        min_length: MazeLength = 5,
        max_length: MazeLength = 5,
        delay_penalty: Cost = 0.01,
        max_steps: StepLimit | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = TMazeRules(corridors, min_length, max_length, delay_penalty, max_steps)
        super().__init__(_mission, self.rules.observation_space(), (max_length + 3, 5), render_mode)
        self.layout: Layout | None = None

    def _parse(self, layout: Any) -> Layout:
        return self.rules.parse(layout)

    def _begin(self, layout: Layout | None) -> None:
        if layout is None:
            lengths, cues = self.rules.from_draws(self.np_random.random(self.rules.draws)[None])
            layout = Layout(tuple(lengths[0].tolist()), tuple(cues[0].tolist()))
        self.layout, self.max_steps = layout, self.rules.step_limit
        self._passed, self._arm = 0, -1
        self._enter()

    def _enter(self) -> None:
        """Go to the start of the next corridor."""
        assert self.layout is not None
        self._x = 0
        self._length, self._cue = self.layout.lengths[self._passed], self.layout.cues[self._passed]
        self.grid = _grid(self._length, self._cue)
        self.width, self.agent_pos, self.agent_dir = self.grid.width, (1, 2), 0

    def _act(self, action: int) -> tuple[float, bool, bool]:
        at_junction = self._x == self._length
        if (action == FORWARD) == at_junction:
            return -self.rules.delay_penalty, False, False
        if action == FORWARD:
            self._x += 1
            self.agent_pos = (self._x + 1, 2)
            return 0.0, False, False
        if action != self._cue:
            self._stop(action)
            return -1.0, True, False
        self._passed += 1
        if self._passed < self.rules.corridors:
            self._enter()
            return 1.0, False, False
        self._stop(action)
        return 1.0, True, True

    def _stop(self, side: int) -> None:
        self._arm = side
        self.agent_pos, self.agent_dir = (self._x + 1, 1 + 2 * side), 3 - 2 * side  # facing north or south

    def gen_obs(self) -> Observation:
        """What the agent sees now, in place of MiniGrid's dict."""
        observation = np.zeros(4, np.float32)
        if self._arm < 0:
            observation[JUNCTION] = self._x == self._length
            observation[POSITION] = self._x / self.rules.max_length
            if self._x == 0:
                observation[CUE_LEFT + self._cue] = 1
        return observation

    def _facts(self) -> dict[str, Any]:
        return {"cue": self._x == 0 and self._arm < 0, "passed": self._passed}

    def _place(self) -> Place:
        arm = None if self._arm < 0 else self._arm
        return Place(self._passed, self.rules.corridors, self._x, self._length, self._cue, arm)

    def picture(self, tile: int = 32) -> npt.NDArray[np.uint8]:
        """The corridor around the agent and a strip of all corridors; see `tmaze_rules.map_image`."""
        return tmaze_rules.map_image(self._place(), tile)

    def text(self) -> str:
        """The same as text; see `tmaze_rules.map_text`."""
        return tmaze_rules.map_text(self._place())


@lru_cache(maxsize=1000)
def _grid(length: int, cue: int) -> Grid:
    """The map of a corridor, shared by all that have this length and cue; nothing ever changes it."""
    things = tmaze_rules.map_things(length, cue)
    grid = Grid(len(things[0]), len(things))
    grid.grid = [minigrid_object(name) for row in things for name in row]
    return grid
