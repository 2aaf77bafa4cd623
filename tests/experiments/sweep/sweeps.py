"""Drivers of sweeps in processes beside the test, and what is left of a sweep."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expirespan.experiments.sweep.engine import Job
from expirespan.experiments.sweep.local import LocalEngine, _holder

CLI = "import sys; from expirespan.experiments.cli import main; sys.exit(main())"
TRIALS = ("corridor-0", "corridor-1")


def driver(folder: Path, args: Sequence[str]) -> subprocess.Popen[bytes]:
    """A command in a process that works in ``folder``; its output is in ``folder/out``."""
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", CLI, *args], cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )


def numbers(folder: Path) -> Any:
    """What the sweep found, but for times and the folders' names, which hold times."""
    text = (folder / "runs" / "s" / "sweep.json").read_text()
    found = json.loads(re.sub(r"\d{8}-\d{6}-", "TIME-", text))
    for group in found["groups"]:
        for run in group["runs"]:
            run["seconds"] = 0
    return found["groups"], found["unfinished"], found["compare"]


def pid(folder: Path, trial: str) -> int | None:
    """The process of a trial, if it is running."""
    lock = folder / "runs" / "s" / "trials" / f"{trial}.lock"
    return _holder(lock) if lock.exists() and LocalEngine().find(Job(trial, (), lock, lock)) else None


def wait_for(what: Callable[[], Any], seconds: float) -> Any:
    """What it returns as soon as that is true; it fails after so many seconds."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)
    return found
