"""Interface of a sequence task: rows of tokens without end, from which blocks are read one after the other.

Letters: B rows, T steps of a block, F tokens that are read at each step (their embeddings are added).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

IGNORE = -100
"""Target of a step at which nothing is asked."""


class Block(NamedTuple):
    """The next T steps of every row: tokens (B, T, F), targets (B, T), and where an episode begins (B, T)."""

    tokens: Ints
    targets: Ints
    start: Bools


class Stream(ABC):
    """Rows of a task. Tokens are below ``vocabulary``, targets below ``classes``. How the rows are cut into blocks
    makes no difference to them.

    ``chance``: accuracy of the best constant answer; None where it depends on the data.
    """

    rows: int
    vocabulary: int
    classes: int
    chance: float | None

    @abstractmethod
    def block(self, steps: int) -> Block:
        """The next steps of every row."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, as JSON-able values."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
