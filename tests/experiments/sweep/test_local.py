"""The engine of this machine: processes that outlive their driver, and the lock by which they are found."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep import local
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.local import LocalEngine

CODE = "import sys; from expirespan.experiments.sweep.local import begin; begin(); exec(sys.argv[1])"
WAITS = "print('here', flush=True); import time; time.sleep(60)"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    monkeypatch.setattr(local, "CODE", CODE)
    made = Job("a-0", (WAITS,), tmp_path / "log", tmp_path / "lock")
    yield made
    pid = local._holder(made.lock) if made.lock.exists() else None
    if pid is not None and LocalEngine().find(made):
        os.kill(pid, signal.SIGKILL)


def ended(engine: LocalEngine, job: Job, seconds: float = 60) -> Ended:
    until = time.monotonic() + seconds
    while (found := engine.poll(job)) is None:
        assert time.monotonic() < until, "it has not ended"
        time.sleep(0.02)
    return found


def begun(job: Job, seconds: float = 60) -> int:
    until = time.monotonic() + seconds
    while not (job.log.exists() and "here" in job.log.read_text()):
        assert time.monotonic() < until, "it has not begun"
        time.sleep(0.02)
    pid = local._holder(job.lock)
    assert pid is not None
    return pid


def test_exit_codes_and_output(job: Job) -> None:
    engine = LocalEngine()
    code = "import os; print(sys.argv[0], os.nice(0), os.environ['OMP_NUM_THREADS'], flush=True); sys.exit(7)"
    quick = Job(job.name, (code,), job.log, job.lock)
    engine.submit(quick)
    assert ended(engine, quick) == Ended(7)
    name, nice, threads = job.log.read_text().split()
    assert name == "expirespan" and int(nice) == min(19, os.nice(0) + local.NICE)
    assert threads == os.environ.get("OMP_NUM_THREADS", "1")
    assert not engine.find(quick)


def test_a_second_driver_finds_and_stops_it(job: Job) -> None:
    first, second = LocalEngine(), LocalEngine()
    assert not second.find(job)
    first.submit(job)
    assert second.find(job), "from the first moment"
    with pytest.raises(UserError, match="already running"):
        second.submit(job)
    assert os.getsid(begun(job)) != os.getsid(0), "Ctrl-C does not reach it"
    assert first.poll(job) is None and second.poll(job) is None
    second.stop(job)
    assert ended(first, job) == Ended(-signal.SIGTERM)
    assert ended(second, job) == Ended(None)


def test_the_lock_goes_with_the_process_and_not_with_its_children(job: Job) -> None:
    engine = LocalEngine()
    child = (
        "import subprocess; p = subprocess.Popen(['sleep', '20'], close_fds=False); print(p.pid, flush=True);"
    )
    parent = Job(job.name, (f"{child} {WAITS}",), job.log, job.lock)
    engine.submit(parent)
    os.kill(begun(parent), signal.SIGKILL)
    assert ended(engine, parent) == Ended(-signal.SIGKILL)
    assert not engine.find(parent)
    os.kill(int(job.log.read_text().split()[0]), signal.SIGKILL)


def test_a_process_that_has_ended_is_not_stopped(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id, which still stands in the lock, may be another process's by then."""
    engine = LocalEngine()
    engine.submit(Job(job.name, ("pass",), job.log, job.lock))
    ended(engine, job)
    assert local._holder(job.lock) is not None

    def kill(*_: int) -> None:
        raise AssertionError("somebody else's")

    with monkeypatch.context() as patched:
        patched.setattr(local.os, "kill", kill)
        LocalEngine().stop(job)
