"""Work in forked processes, within a bound of time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expirespan.experiments.settings.errors import UserError
from tests.experiments.reliability.jobs import quiet

BOUND = 60.0
"""Seconds that a try may take; one that takes longer hangs."""


def in_a_fork(one: Callable[[Path], str], place: Path) -> str:
    """A try in a forked process, which may die of it."""
    told = place / "told"
    (place / "run").mkdir()

    def work() -> None:
        said = one(place / "run")
        told.write_text(said or "nothing")

    child, begun = fork(work), time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - begun > BOUND:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"hangs for {BOUND:.0f} s"
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it has left
    said = told.read_text() if told.exists() else "the process is gone without a word"
    return "" if said == "nothing" else said


def fork(work: Callable[[], Any]) -> int:
    """Do some work in a process; its exit code is 2 after a `UserError`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), quiet():
            os.setpgid(0, 0)
            try:
                work()
                code = 0
            except UserError:
                code = 2
        os._exit(code)
    return child


def wait(for_what: Callable[[], bool]) -> None:
    while not for_what():
        time.sleep(0.02)
