"""Interface of oracles: players that know the rules."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from expirespan.parameters import NumEnvs

__all__ = ["Oracle"]


class Oracle(Protocol):
    """A batched player; make one with the number of environments it plays."""

    def __init__(self, num_envs: NumEnvs) -> None: ...

    def act(self, observations: Any, episode_starts: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Choose an action for each environment.

        Args:
            observations: a batch, as the vector environment gives it.
            episode_starts: (num_envs,) true where an episode begins; what was remembered is cleared.
        """
        ...
