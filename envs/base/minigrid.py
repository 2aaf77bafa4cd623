"""Base class of our MiniGrid environments: reset options, checked actions, infos, pictures of a small map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, SupportsFloat

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.minigrid_env import MiniGridEnv

from expirespan.envs.base.checks import check_action, check_ready, layout_option

__all__ = ["LayoutMiniGridEnv"]

Array = npt.NDArray[Any]


class LayoutMiniGridEnv(MiniGridEnv):
    """A MiniGrid environment whose episodes can be fixed by ``reset(options={"layout": ...})``.

    A subclass says how an episode begins (`_begin`), what an action does (`_act`), what is seen (`gen_obs`), what
    the info reports (`_facts`), and how it is drawn (`picture`, `text`).
    """

    ACTIONS: ClassVar[tuple[str, ...]]
    """What each action does, for error messages."""

    metadata = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        mission: Callable[[], str],
        observation_space: spaces.Box,
        size: tuple[int, int],
        render_mode: str | None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r}: expected None or one of {self.metadata['render_modes']}"
            )
        super().__init__(
            MissionSpace(mission),
            width=size[0],
            height=size[1],
            see_through_walls=True,
            agent_view_size=3,
            render_mode=render_mode,
        )
        self._mission_text = mission()
        self.observation_space = observation_space
        self.action_space = spaces.Discrete(len(self.ACTIONS))
        self._given: Any = None
        self._started = self._ended = False

    @abstractmethod
    def _parse(self, layout: Any) -> Any:
        """Check one ``layout`` of the reset options."""

    @abstractmethod
    def _begin(self, layout: Any) -> None:
        """Begin an episode: drawn from ``np_random`` if ``layout`` is None. Sets agent, `grid`, `max_steps`."""

    @abstractmethod
    def _act(self, action: int) -> tuple[float, bool, bool]:
        """Carry out an action: the reward, whether the episode terminates, whether it is a success."""

    @abstractmethod
    def gen_obs(self) -> Array:
        """What the agent sees now, in place of MiniGrid's dict."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """What the info reports."""

    @abstractmethod
    def picture(self, tile: int = 32) -> npt.NDArray[np.uint8]:
        """The map as pixels (height, width, 3), ``tile`` of them to a cell."""

    @abstractmethod
    def text(self) -> str:
        """The map as text."""

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode; ``options={"layout": ...}`` fixes what is otherwise drawn (see the card).

        Raises:
            ValueError: an unknown option, or a layout that does not exist.
        """
        layout = layout_option(options)
        self._given = None if layout is None else self._parse(layout)
        observation: Any
        observation, _ = super().reset(seed=seed)
        return observation, self._facts()

    def step(  # type: ignore[override]
        self, action: Any
    ) -> tuple[Array, SupportsFloat, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            ValueError: an action outside the action space.
            ResetNeeded: before the first `reset`, or after the end of an episode.
        """
        check_ready(self._started, self._ended)
        reward, terminated, success = self._act(check_action(action, self.ACTIONS))
        self.step_count += 1
        truncated = self.step_count >= self.max_steps and not terminated
        self._ended = terminated or truncated
        info = self._facts()
        if self._ended:
            info["is_success"] = success
        if self.render_mode == "human":
            self.render()
        return self.gen_obs(), reward, terminated, truncated, info

    def render(self) -> Any:
        """The map: pixels, text (``ansi``), or a window on the screen."""
        if not self._started:
            raise ResetNeeded(
                "render() was called before the first reset(): call reset() to begin an episode"
            )
        return self.text() if self.render_mode == "ansi" else super().render()  # type: ignore[no-untyped-call]

    def get_frame(
        self, highlight: bool = True, tile_size: int = 32, agent_pov: bool = False
    ) -> npt.NDArray[np.uint8]:
        """MiniGrid's hook for pixels: `picture`, padded to a square for the screen."""
        frame = self.picture(tile_size)
        if self.render_mode == "human":
            side = max(frame.shape[:2])
            above, left = (side - frame.shape[0]) // 2, (side - frame.shape[1]) // 2
            frame = np.pad(
                frame, ((above, side - frame.shape[0] - above), (left, side - frame.shape[1] - left), (0, 0))
            )
        return frame

    def _gen_grid(self, width: int, height: int) -> None:
        layout, self._given = self._given, None
        self.grid, self.mission = Grid(width, height), self._mission_text
        self._begin(layout)
        self._started, self._ended = True, False  # not before: a bad seed leaves all as it was
