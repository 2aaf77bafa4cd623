"""Saving of agents: writing is all or nothing, files hold only data."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch as th

from expirespan.agents.checkpoint.archive import write
from expirespan.agents.checkpoint.files import Source, destination, replacing
from expirespan.agents.checkpoint.position import MOVING, MovingAlgorithm, Position, position_of
from expirespan.agents.checkpoint.statistics import Statistics
from expirespan.agents.workers import Workers
from expirespan.agents.workers.parts import ROWS, interleaved, joined
from expirespan.memory import MemoryState

DERIVED = (
    "lr_schedule",
    "_rollout_start",
    "_pending_log",
    "_statistics",
    "_hidden",
    "_masks_of",
    "_hidden_of",
)
"""Attributes made anew from others."""


class Collected(NamedTuple):
    """An agent with the ``position`` of all workers, which worker 0 has, to be saved by it."""

    agent: SavingAlgorithm
    position: Position | None

    @property
    def num_timesteps(self) -> int:
        """Steps so far."""
        return self.agent.num_timesteps

    @property
    def resumable_timesteps(self) -> int:
        """See `SavingAlgorithm`."""
        return self.agent.resumable_timesteps

    def save(self, path: Source) -> None:
        """Save it, if this is worker 0."""
        if self.position is not None:
            self.agent._save(path, None, None, self.position)


class SavingAlgorithm(MovingAlgorithm):
    """`OnPolicyAlgorithm` that saves atomically, alone or with all workers."""

    _statistics: Statistics = []  # noqa: RUF012  (never changed in place)

    def _learned_state(self) -> dict[str, Any]:
        """What learning keeps beside weights and optimizer, by attribute; `_set_learned_state` takes it back."""
        return {}

    def _set_learned_state(self, state: dict[str, Any]) -> None:
        """Inverse of `_learned_state`."""

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), *DERIVED]

    def save(
        self, path: Source, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """Save attributes, weights, optimizer and the run's position; arguments as in SB3.

        A file of that name is replaced in one moment: whatever interrupts it, ``path`` holds either what it
        held before or all of this agent. Only data is written. What is none (a schedule that is a function) is
        left out with a warning, and must be passed to `load`.

        A position lies between an update and the next rollout. Within a rollout, that of its start is saved.
        Of several workers the first saves, alone and without the position: see `save_together`.
        """
        if self.workers.size > 1:
            exclude = {*(exclude or ()), *ROWS, "_memory_state"}
        if self.workers.lead:
            self._save(path, exclude, include)

    def save_together(self, path: Source) -> None:
        """As `save`, with the position of all workers. Each of them calls it, and worker 0 writes.

        It can be resumed by any number of workers among which its environments can be shared out.
        """
        self.collected().save(path)

    def collected(self) -> SavingAlgorithm | Collected:
        """What `save_together` saves. Each worker calls it; by what worker 0 gets, it may save later."""
        if self.workers.size == 1:
            return self
        return Collected(self, _whole_position(self, self.workers))

    def _save(
        self,
        path: Source,
        exclude: Iterable[str] | None,
        include: Iterable[str] | None,
        position: Position | None = None,
    ) -> None:
        if not isinstance(path, (str, pathlib.Path)):
            return self._write(path, exclude, include, position)
        with replacing(destination(path)) as file:
            self._write(file, exclude, include, position)

    def _write(
        self,
        file: Any,
        exclude: Iterable[str] | None,
        include: Iterable[str] | None,
        whole: Position | None,
    ) -> None:
        without = set(exclude or ()).union(self._excluded_save_params()) - set(include or ())
        without |= {name.split(".")[0] for names in self._get_torch_save_params() for name in names}
        attributes = {name: value for name, value in vars(self).items() if name not in without}
        position = whole or self._rollout_start or position_of(self)
        if whole is not None:
            attributes |= _as_attributes(whole, self.all_envs)
        slim: dict[int, MemoryState] = {}  # one and the same, unless it is saved within a rollout
        for values, name in ((attributes, "_memory_state"), (position := dict(position), "memory")):
            if isinstance(state := values.get(name), MemoryState):
                values[name] = slim.setdefault(id(state), state.without_cache())
        sections = {
            "attributes": attributes,
            "weights": self.get_parameters(),
            "learned": self._learned_state(),
            "envs": {
                "statistics": self._statistics or position.pop("statistics"),
                "hidden": self._has_hidden_statistics(),
            },
            "position": {} if without & {*MOVING, "_memory_state"} else position,
        }
        write(file, sections, stacklevel=5)


def _whole_position(agent: MovingAlgorithm, workers: Workers) -> Position | None:
    """The position of all workers, at worker 0; None at the others. Every worker calls it."""
    position = dict(agent._rollout_start or position_of(agent))
    memory = position.pop("memory")
    kind = type(memory)
    own = {name: position[name] for name in (*ROWS, "envs")}
    found = workers.collect((own, None if memory is None else memory.to(th.device("cpu")).state_dict()))
    if not found:
        return None
    if any(part["envs"] is None for part, _ in found):
        for part, _ in found:
            part["envs"] = None
    parts = [part for part, _ in found]
    position |= {name: joined([part[name] for part in parts], name, agent.n_envs) for name in own}
    states = [kind.from_state_dict(state) for _, state in found if state is not None]
    position["memory"] = interleaved(states, agent.n_envs) if states else None
    return position


def _as_attributes(position: Position, total: int) -> dict[str, Any]:
    """The attributes of an agent that stands at a position of ``total`` environments."""
    moving = {name: position[name] for name in MOVING}
    return moving | {"_memory_state": position["memory"], "n_envs": total}
