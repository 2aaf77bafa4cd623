"""Engine for Slurm by submitit: a job of the cluster hosts each trial's process, as `LocalEngine` runs it there.

Where there is no Slurm, submitit's own executor for one machine takes its place, so that the same path can be tried.
Whether a job still runs is known by the scheduler, and on one machine by the lock of the trial's process. A job is
asked to stop by a file beside the lock, which every machine sees.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit

from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.local import LocalEngine
from expirespan.experiments.training.interrupt import StopOnSignal

PAUSE = 0.2
"""Seconds between two looks of a job at its trial."""
DAY = 24 * 60
"""Minutes that a job may take unless timeout_min says otherwise; whatever is left then goes on in another job."""
SHARED = {"timeout_min": int, "mem_gb": float, "cpus_per_task": int, "gpus_per_node": int, "nodes": int}
ENDED = (
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "PREEMPTED",
    "OUT_OF_MEMORY",
    "BOOT_FAIL",
)
"""States of Slurm in which a job does not run any more."""


@dataclass(frozen=True)
class Host:
    """What a job of the cluster does: run a trial's process to its end, and return its exit code."""

    job: Job

    def __call__(self) -> int:
        """Start the process, or wait for the one that runs. A signal or the file asks it to stop."""
        engine, asked = LocalEngine(), False
        if not engine.find(self.job):
            engine.submit(self.job)
        with StopOnSignal() as signal:
            while (ended := engine.poll(self.job)) is None:
                if not asked and (signal.requested or _stop_file(self.job).exists()):
                    asked = True
                    engine.stop(self.job)
                time.sleep(PAUSE)
        return -1 if ended.code is None else ended.code

    def checkpoint(self) -> None:
        """When the time of the job is nearly over: let the process save and end. The sweep goes on in another job."""
        engine = LocalEngine()
        engine.stop(self.job)
        while engine.find(self.job):
            time.sleep(PAUSE)


class SubmititEngine:
    """``folder``: of the sweep. ``parameters``: of the jobs. ``cluster``: slurm, local or debug; None: what is there.

    Raises:
        UserError: the parameters do not fit.
    """

    def __init__(
        self, folder: Path, parameters: Sequence[str] = (), gpus: float = 0, cluster: str | None = None
    ) -> None:
        self._folder = folder.absolute() / "submitit"
        self._given = read_parameters(parameters, gpus)
        self._cluster = cluster
        self._own: dict[str, submitit.Job[int]] = {}

    def submit(self, job: Job) -> None:
        """Queue a job."""
        _stop_file(job).unlink(missing_ok=True)
        executor = submitit.AutoExecutor(self._folder, cluster=self._cluster)
        executor.update_parameters(
            **{"name": job.name, "cpus_per_task": job.threads, "timeout_min": DAY, **self._given}
        )
        here = Job(job.name, job.args, job.log.absolute(), job.lock.absolute(), job.threads)
        self._own[job.name] = executor.submit(Host(here))
        _id_file(job).write_text(f"{executor.cluster} {self._own[job.name].job_id}\n")

    def find(self, job: Job) -> bool:
        """Whether an earlier driver's job is queued or runs."""
        if LocalEngine().find(job):
            return True
        file = _id_file(job)
        if not file.exists() or file.read_text().split()[0] != "slurm":
            return False
        return self._slurm(job).state.split()[0] not in (*ENDED, "UNKNOWN")

    def poll(self, job: Job) -> Ended | None:
        """The exit code of a job that was submitted here; of others only that they are gone."""
        own = self._own.get(job.name)
        if own is None:
            return None if self.find(job) else Ended(None)
        if not own.done():
            return None
        del self._own[job.name]
        if LocalEngine().find(
            job
        ):  # the job is gone and its process is not: as if an earlier driver had started it
            return None
        try:
            return Ended(int(own.result()))
        except Exception as error:  # of the job, the scheduler or submitit
            with job.log.open("a", encoding="utf-8") as log:
                log.write(f"\njob {own.job_id}: {type(error).__name__}: {error}\n")
            return Ended(1)

    def stop(self, job: Job) -> None:
        """Ask the job to save and end; a second time the scheduler ends it."""
        again = _stop_file(job).exists()
        _stop_file(job).touch()
        queued = self._own.get(job.name)
        if queued is None and _id_file(job).exists() and _id_file(job).read_text().startswith("slurm"):
            queued = self._slurm(job)
        if queued is not None and (again or queued.state == "PENDING"):
            with suppress(Exception):  # it may have ended
                queued.cancel()

    def _slurm(self, job: Job) -> submitit.SlurmJob[int]:
        return submitit.SlurmJob(self._folder, _id_file(job).read_text().split()[1])


def read_parameters(texts: Sequence[str], gpus: float) -> dict[str, Any]:
    """Parameters of submitit from ``timeout_min=600 partition=gpu``; those that only Slurm knows get its prefix.

    Raises:
        UserError: one is unknown, or its value does not fit.
    """
    known = sorted(submitit.SlurmExecutor._valid_parameters())
    if gpus != int(gpus):
        raise UserError(f"gpus={gpus}: Slurm gives whole GPUs; expected a whole number")
    found: dict[str, Any] = {"gpus_per_node": int(gpus)} if gpus else {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.removeprefix("slurm_")
        if not equals or not value:
            raise UserError(f"slurm={text!r}: expected NAME=VALUE, such as partition=gpu")
        if name not in SHARED and name not in known:
            raise unknown("parameter of --slurm", name, [*SHARED, *known])
        try:
            found[name if name in SHARED else f"slurm_{name}"] = SHARED.get(name, str)(value)
        except ValueError:
            raise UserError(f"slurm={text!r}: expected a number after {name}=") from None
    return found


def _stop_file(job: Job) -> Path:
    return job.lock.with_suffix(".stop")


def _id_file(job: Job) -> Path:
    """Where a job is noted: which cluster it is on, and its id there."""
    return job.lock.with_suffix(".job")
