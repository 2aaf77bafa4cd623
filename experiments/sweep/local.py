"""Engine for this machine: a process for each trial, which survives its driver and is found again by a lock."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.engine import Ended, Job

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NICE = 10
"""Added to the niceness of a trial, so that whoever works on the machine goes first."""
CODE = (
    "import sys; from expirespan.experiments.sweep.local import begin; begin(); "
    "from expirespan.experiments.cli import main; sys.exit(main())"
)
"""What a trial's process runs: `begin`, then ``expirespan`` with the arguments that are left."""


class LocalEngine:
    """Runs each job at once. The job's process has a lock on ``job.lock`` for as long as it lives, and its id in it.

    The process belongs to a session of its own: Ctrl-C reaches only the driver, which then stops it once.

    Raises:
        UserError: the system has no such locks.
    """

    def __init__(self) -> None:
        if fcntl is None:
            raise UserError(
                "--engine local needs a POSIX system, such as Linux or macOS; on Windows use its Linux (WSL)"
            )
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, job: Job) -> None:
        """Start a process."""
        lock = _taken(job.lock)
        if lock is None:
            raise UserError(f"{job.name} is already running, as process {_holder(job.lock)}")
        threads = {name: str(job.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        try:
            with job.log.open("ab") as log:
                self._own[job.name] = subprocess.Popen(
                    [sys.executable, "-c", CODE, str(lock), *job.args],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    pass_fds=[lock], start_new_session=True, env=threads | dict(os.environ),
                )  # fmt: skip
        finally:
            os.close(lock)  # the process has its own copy, and with it the lock

    def find(self, job: Job) -> bool:
        """Whether a process has the job's lock."""
        lock = _taken(job.lock)
        if lock is None:
            return True
        os.close(lock)
        return False

    def poll(self, job: Job) -> Ended | None:
        """The exit code of a process started here; of others only that they are gone."""
        if job.name in self._own:
            code = self._own[job.name].poll()
            if code is None:
                return None
            del self._own[job.name]
            return Ended(code)
        return None if self.find(job) else Ended(None)

    def stop(self, job: Job) -> None:
        """Send SIGTERM, if the process is on this machine and has not ended: its id may be another's by then."""
        own = self._own.get(job.name)
        if own is None and not self.find(job):
            return
        pid = own.pid if own is not None else _holder(job.lock)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def begin() -> None:
    """First in a trial's process: note its id in the lock, whose number is the first argument, and be nice."""
    lock = int(sys.argv.pop(1))
    os.set_inheritable(lock, False)  # helpers of the process that outlive it must not keep its lock
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {platform.node()}\n".encode(), 0)
    os.nice(NICE)
    sys.argv[0] = "expirespan"


def _taken(path: Path) -> int | None:
    """A lock on a file, as the number of the open file; None if a process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _holder(path: Path) -> int | None:
    """Id of the process on this machine that has a lock; None in the moment before it has noted it."""
    pid, _, host = path.read_text().strip().partition(" ")
    return int(pid) if pid.isdecimal() and host == platform.node() else None
