"""Settings of the environments that a run can have."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from expirespan.experiments.settings.values import ByName
from expirespan.parameters import (
    Chatter,
    Colours,
    CorridorLength,
    Corridors,
    Cost,
    FrameStack,
    Lengths,
    LineCount,
    LineLength,
    MazeLength,
    Mistakes,
    Multiple,
    Pays,
    Revisions,
    RoomCode,
    Rooms,
    RoomSize,
    Seconds,
    Split,
    StepLimit,
)


class _World:
    """What every environment's settings hold: its Gymnasium id, its parameters, and which episodes are longest."""

    name: ClassVar[str]
    frame_stack: FrameStack = 1
    """Observations that the policy sees at a time; a setting of some."""
    imports: tuple[str, ...] = ()
    """Modules that register the environment; a setting of `GymSettings`, as are ``wrappers``."""
    wrappers: tuple[str, ...] = ()
    """Wrappers around each environment, by dotted name."""
    timeout: Seconds | None = None
    """Seconds that a step may take, in processes of their own; a setting of `GymSettings`."""
    choices: ClassVar[dict[str, int]] = {}
    """Where an observation describes actions, as arguments of `ChoiceExtractor`; nothing if it does not."""

    @property
    def gym_id(self) -> str:
        """Id for ``gym.make_vec``."""
        return self.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Arguments for ``gym.make_vec``."""
        names = [item.name for item in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names if name != "frame_stack"}

    @property
    def played(self) -> dict[str, Any]:
        """The settings of what is played: the parameters, and frame stack and wrappers where there are any."""
        stack = {"frame_stack": self.frame_stack} if self.frame_stack > 1 else {}
        wrappers = {"wrappers": list(self.wrappers)} if self.wrappers else {}
        return self.parameters | stack | wrappers

    def longest(self) -> Self:
        """The environment with its longest episodes only."""
        return self


class _Lengths(_World):
    def longest(self) -> Self:
        """The environment with its longest episodes only."""
        return replace(self, min_length=self.max_length)  # type: ignore[type-var, attr-defined]


@dataclass(frozen=True)
class CorridorSettings(_Lengths):
    """A ball at the start, two doors at the end: enter the one of the ball's colour."""

    name: ClassVar[str] = "ExpireSpan/Corridor-v0"
    min_length: CorridorLength = 3
    """Shortest corridor, in cells."""
    max_length: CorridorLength = 200
    """Longest corridor, in cells."""
    length_distribution: Lengths = "uniform"
    """How lengths are drawn; log_uniform favours short corridors, mixed is half of each."""
    max_steps: StepLimit | None = None
    """Steps after which an episode is cut off; None for 4 * length + 16."""


@dataclass(frozen=True)
class TMazeSettings(_Lengths):
    """Corridors in a row, each with a cue at its start and a junction at its end: turn as the last cue showed."""

    name: ClassVar[str] = "ExpireSpan/EndlessTMaze-v0"
    corridors: Corridors = 3
    """How many."""
    min_length: MazeLength = 5
    """Least length of each, in steps."""
    max_length: MazeLength = 5
    """Greatest length of each, in steps."""
    delay_penalty: Cost = 0.01
    """Cost of an action that leaves the agent where it is."""
    max_steps: StepLimit | None = None
    """Steps after which an episode is cut off; None for 6 * (max_length + 1) * corridors."""


@dataclass(frozen=True)
class PortalSettings(_World):
    """Rooms in a row, each with a door that leads on and one that leads back to the first: find and remember."""

    name: ClassVar[str] = "ExpireSpan/PortalRooms-v0"
    rooms: Rooms = 50
    """How many."""
    room_size: RoomSize = 5
    """Side of a room, in cells."""
    colours: Colours = 6
    """Colours that doors can have."""
    mistakes: Mistakes = 1
    """Wrong doors that may be taken in each room."""
    max_steps: StepLimit = 1000
    """Steps after which an episode is cut off."""
    reward_scale: Multiple = 0.1
    """Moving on from room k pays this times k."""
    pays: Pays = "every"
    """Whether every passage pays or only the first."""
    show_room: bool = True
    """Whether the room's number is seen."""
    room_code: RoomCode = "one-hot"
    """How the room's number is written."""
    show_direction: bool = False
    """Whether it is seen which way the agent faces."""
    frame_stack: FrameStack = 1
    """Observations that the policy sees at a time, the present one and those before."""


@dataclass(frozen=True)
class InstructionSettings(_Lengths):
    """A line of text a step, one of which says what to do when the turn comes."""

    name: ClassVar[str] = "ExpireSpan/FindInstruction-v0"
    choices: ClassVar[dict[str, int]] = {"first": 2, "choices": 4, "words": 5}
    min_length: LineCount = 10
    """Fewest lines between the instruction and the turn."""
    max_length: LineCount = 1000
    """Most lines between the instruction and the turn."""
    length_distribution: Lengths = "uniform"
    """How that number is drawn; log_uniform favours few, mixed is half of each."""
    split: Split = "train"
    """test: sentences and objects that training does not show."""
    revisions: Revisions = "never"
    """Whether a later line may replace or cancel the instruction."""
    early_penalty: Cost = 0.01
    """Cost of acting before the turn."""
    token_length: LineLength = 24
    """Words of a line, at most."""
    lines: Chatter = "grammar"
    """light: chatter from local LIGHT files."""
    light_path: str | None = None
    """Those files, or their folder."""


@dataclass(frozen=True)
class GymSettings(_World):
    """Any environment of Gymnasium, and any that a module registers with it."""

    name: ClassVar[str] = "gym"
    id: str = "ExpireSpan/CartPoleNoVel-v1"
    """Its id; module:id imports the module that registers it."""
    imports: tuple[str, ...] = ()
    """Modules to import before, such as minigrid. Those of MiniGrid, Atari, POPGym and Memory Gym are known."""
    kwargs: ByName = field(default_factory=dict)
    """Arguments of its constructor or of gymnasium.make, as size=5 max_episode_steps=100 or one JSON object."""
    wrappers: tuple[str, ...] = ()
    """Wrappers around it, innermost first: module.Name, module:Name or "module.Name(argument=value)"."""
    frame_stack: FrameStack = 1
    """Observations that the policy sees at a time, the present one and those before."""
    timeout: Seconds | None = None
    """Seconds that a step or reset may take, after which the run stops. Each environment then has a process of its own,
    which can be ended; None: all of them in this process, without a bound."""

    @property
    def gym_id(self) -> str:
        """Id for ``gym.make_vec``."""
        return self.id

    @property
    def parameters(self) -> dict[str, Any]:
        """Arguments for ``gym.make_vec``."""
        return dict(self.kwargs)


Env = CorridorSettings | TMazeSettings | PortalSettings | InstructionSettings | GymSettings
