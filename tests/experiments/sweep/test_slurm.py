"""The engine of submitit, by its executors that need no Slurm: in this process, and in processes of this machine."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expirespan.experiments.sweep import local, slurm
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.local import LocalEngine
from expirespan.experiments.sweep.slurm import Host, SubmititEngine, read_parameters

WAITS = (
    "import sys; from expirespan.experiments.sweep.local import begin; begin(); import time; time.sleep(60)"
)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "trials").mkdir()
    return Job("a-0", ("--version",), tmp_path / "trials" / "a-0.log", tmp_path / "trials" / "a-0.lock")


def ended(engine: SubmititEngine, job: Job, seconds: float = 240) -> Ended:
    until = time.monotonic() + seconds
    while (found := engine.poll(job)) is None:
        assert time.monotonic() < until, "it has not ended"
        time.sleep(0.05)
    return found


def test_in_processes_of_this_machine(job: Job, tmp_path: Path) -> None:
    engine = SubmititEngine(tmp_path, cluster="local")
    wrong = Job("b-0", ("no-such-command",), job.log.with_name("b-0.log"), job.lock.with_name("b-0.lock"))
    assert not engine.find(job)
    for one in (job, wrong):
        engine.submit(one)
    assert ended(engine, job) == Ended(0) and ended(engine, wrong) == Ended(2)
    assert job.log.read_text().startswith("expirespan ")
    assert "unknown command" in wrong.log.read_text()
    assert not SubmititEngine(tmp_path, cluster="local").find(job), "another driver sees that it has ended"


def test_a_file_asks_it_to_stop(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CODE", WAITS)
    engine = SubmititEngine(tmp_path, cluster="debug")  # runs when it is polled
    engine.submit(job)
    engine.stop(job)
    assert ended(engine, job) == Ended(-signal.SIGTERM)
    engine.submit(Job("a-0", (), job.log, job.lock))
    assert not job.lock.with_suffix(".stop").exists(), "a new attempt is not stopped"


def test_a_host_waits_for_a_process_that_runs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a driver dies in the moment before a process has its lock, and the next one submits again."""
    monkeypatch.setattr(local, "CODE", WAITS)
    first = LocalEngine()
    first.submit(job)
    job.lock.with_suffix(".stop").touch()
    until = time.monotonic() + 60
    while local._holder(job.lock) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert Host(job)() == -1, "nobody knows the exit code of another's process"
    assert not first.find(job)


def test_a_job_whose_time_is_over_saves_first(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CODE", WAITS)
    engine = LocalEngine()
    engine.submit(job)
    while local._holder(job.lock) is None:
        time.sleep(0.02)
    Host(job).checkpoint()
    assert engine.poll(job) == Ended(-signal.SIGTERM) or not engine.find(job)


@pytest.mark.parametrize(("state", "there"), [
    ("PENDING", True), ("RUNNING", True), ("CANCELLED by 7", False), ("COMPLETED", False), ("UNKNOWN", False),
])  # fmt: skip
def test_jobs_of_slurm_are_found_by_their_state(
    state: str, there: bool, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        slurm.submitit, "SlurmJob", lambda *args: asked.append(args) or SimpleNamespace(state=state)
    )
    job.lock.with_suffix(".job").write_text("slurm 4711\n")
    engine = SubmititEngine(tmp_path, cluster="local")
    assert engine.find(job) == there
    assert engine.poll(job) == (None if there else Ended(None))
    assert asked[0] == (tmp_path / "submitit", "4711")


def test_parameters() -> None:
    found = read_parameters(["timeout_min=90", "mem_gb=7.5", "partition=gpu", "slurm_qos=high"], 2.0)
    expected = {
        "timeout_min": 90,
        "mem_gb": 7.5,
        "slurm_partition": "gpu",
        "slurm_qos": "high",
        "gpus_per_node": 2,
    }
    assert found == expected
