"""State of vector environments as data, for a training run that continues exactly where it stopped.

A vector environment that can be restored has ``get_state() -> dict``, of arrays and of what JSON can hold, all of
it copied, and ``set_state(state)``, after which it makes the steps that would have followed. All vector
environments of this package have; `KeepsState` gives it to those in numpy.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.utils import seeding

from expirespan.envs.base.checks import check_array

__all__ = ["KeepsState", "Restorable"]


@runtime_checkable
class Restorable(Protocol):
    """A vector environment whose state can be saved and set."""

    def get_state(self) -> dict[str, Any]:
        """Arrays and what JSON can hold, by name; later steps change none of it."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from ``state``; ValueError if it is that of another environment."""


class KeepsState:
    """`Restorable`, for a vector environment with one generator for each of its ``num_envs``.

    ``STATE`` names the attributes that make up its state beside the generators: arrays, or lists that JSON can
    hold. Tuples come back as lists; override `set_state` where that matters.
    """

    STATE: tuple[str, ...] = ()
    num_envs: int
    _generators: list[np.random.Generator]
    _seeds: list[int]
    _started: bool

    def get_state(self) -> dict[str, Any]:
        """Everything on which later episodes and observations depend, but the constructor's parameters."""
        return {
            "environment": type(self).__name__,
            "num_envs": self.num_envs,
            "started": self._started,
            "seeds": list(self._seeds),
            "generators": [generator.bit_generator.state for generator in self._generators],
            **{name: copy.deepcopy(getattr(self, name)) for name in self.STATE},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that an environment with the same parameters gave.

        Raises:
            ValueError: it is the state of another environment, or of another number of them.
        """
        for name, own in (("environment", type(self).__name__), ("num_envs", self.num_envs)):
            if state.get(name) != own:
                raise ValueError(
                    f"the state has {name}={state.get(name)!r}, and this environment {own!r}: give it to an "
                    "environment made as the one that it was taken from"
                )
        missing = [name for name in ("started", "seeds", "generators", *self.STATE) if name not in state]
        if missing:
            raise ValueError(f"the state lacks {', '.join(missing)}: pass what get_state() returned")
        for name in self.STATE:
            own = getattr(self, name)
            if isinstance(own, np.ndarray):
                check_array(name, state[name], own)
        if not len(state["seeds"]) == len(state["generators"]) == self.num_envs:
            raise ValueError(
                f"the state has {len(state['seeds'])} seeds and {len(state['generators'])} generators: expected "
                f"{self.num_envs} of each"
            )
        generators = []
        for saved in state["generators"]:
            generators.append(seeding.np_random(0)[0])
            try:
                generators[-1].bit_generator.state = saved
            except (TypeError, ValueError, KeyError) as error:
                raise ValueError(
                    f"a generator in the state cannot be set ({error}): pass what get_state() returned"
                ) from None
        self._generators, self._seeds, self._started = generators, list(state["seeds"]), state["started"]
        for name in self.STATE:
            setattr(self, name, copy.deepcopy(state[name]))
