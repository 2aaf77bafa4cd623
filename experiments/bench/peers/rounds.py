"""The other end of `rivals.Elsewhere`, for programs that run a training loop of somebody else."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


class Rounds:
    """Settings from the first line of standard input; then each line asks for a round, answered with a line of JSON.

    Standard output has answers alone: what others print is lost. ``ends``: to be set where an episode ends.
    """

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        self.settings: dict[str, Any] = json.loads(sys.stdin.readline())
        self.rollouts: int = self.settings["rollouts"]
        self.ends = False
        self._began: float | None = None

    def next(self) -> None:
        """Answer for the round that began with the last call, if there was one, and wait for the next.

        Raises:
            SystemExit: no other is wanted.
        """
        if self._began is not None:
            steps = self.rollouts * self.settings["n_steps"] * self.settings["num_envs"]
            speed = steps / (time.perf_counter() - self._began)
            print(json.dumps([speed, self.ends]), file=self._answers, flush=True)
        if not sys.stdin.readline():
            raise SystemExit
        self.ends = False
        self._began = time.perf_counter()
