"""Tries of a run that is stopped at one of its writes and resumed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from tests.experiments.reliability.fault import Fault
from tests.experiments.reliability.jobs import Job, quiet


def points(job: Job, folder: Path) -> list[str]:
    """The writes of a run that is not stopped, in order."""
    fault = Fault(folder)
    with fault.injected(), quiet():
        job.start(folder)
    return fault.points


def stop_and_resume(job: Job, folder: Path, at: int, kind: str, then: int = 0) -> str:
    """Stop a run at one of its writes and resume it; what went wrong, in words, or nothing.

    ``then``: the first to resume it is killed, at this one of its own writes.
    """
    _stopped(lambda: job.start(folder), Fault(folder, at, kind))
    found = list(folder.glob("*/*/config.yaml"))
    if found and then:
        _stopped(lambda: job.resume(Run.open(found[0].parent)), Fault(folder, then))
    try:
        with quiet():
            if found:
                job.resume(Run.open(found[0].parent))
            else:
                if kind != "killed" and any(folder.glob("*/*")):
                    return "a folder that is no run stays"
                for other in folder.glob("*/*"):
                    shutil.rmtree(other)
                job.start(folder)
    except Exception as error:
        return f"does not resume: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def _stopped(work: Callable[[], None], fault: Fault) -> None:
    """Do some work until the fault stops it, in a fork if that is killed."""
    if fault.kind != "killed":
        with contextlib.suppress(KeyboardInterrupt, UserError, OSError), fault.injected(), quiet():
            work()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            fault.thread = threading.get_ident()
            with fault.injected(), quiet():
                work()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
