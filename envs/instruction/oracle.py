"""Find-instruction's oracle: reaches the optimum from observations alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.envs.instruction.lines import grammar_lines
from expirespan.envs.instruction.rules import TOKEN_LENGTH
from expirespan.parameters import NumEnvs
from expirespan.ranges import checked

__all__ = ["FindInstructionOracle"]


class FindInstructionOracle:
    """Reads on, remembers the last instruction to it, and at its turn carries that out: return 1.

    It knows our grammar: an instruction to this agent has "you to", then a verb (or "forget"), "the", an object of two
    words, "to the" and a recipient.
    """

    @checked
    def __init__(self, num_envs: NumEnvs) -> None:
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
