"""The engines by name, and the options on them that sweeps and suites share; quick to import, for the help."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, fields
from typing import NamedTuple

from expirespan.parameters import GPUs, Jobs, Retries


class Package(NamedTuple):
    """What pip installs: the module, and the extra of this package that brings it."""

    module: str
    extra: str


ENGINES: dict[str, Package | None] = {
    "local": None,
    "ray": Package("ray.tune", "sweep"),
    "submitit": Package("submitit", "slurm"),
}
"""The engines, and the package that each needs."""


@dataclass(frozen=True)
class EngineOptions:
    """What runs the trials, how many at a time, and where."""

    engine: str = "local"
    """What runs the trials: local, processes on this machine; ray, Ray Tune; submitit, jobs of Slurm."""
    jobs: Jobs = 0
    """Trials at a time, one thread each unless --threads follows the --; 0 for as many as there are cores, on a
    cluster for as many as it takes."""
    retries: Retries = 1
    """Further attempts of a trial that fails, each from its last checkpoint."""
    address: str = ""
    """With --engine ray: HOST:PORT of a cluster that runs; without it Ray starts on this machine."""
    prune: bool = False
    """With --engine ray: stop trials early that do worse than others after as many steps (ASHA)."""
    gpus: GPUs = 0.0
    """With --engine ray or submitit: GPUs of each trial; Ray takes fractions."""
    slurm: tuple[str, ...] = ()
    """With --engine submitit: parameters of the jobs, such as partition=gpu timeout_min=600 mem_gb=8."""
    runs: str = "runs"
    """Folder in which the sweep's folder is; with a cluster, one that all of its machines see."""

    def words(self) -> str:
        """The options that are no defaults, as they are typed after a command; without ``runs``."""
        found: list[str] = []
        for item in fields(EngineOptions):
            value, flag = getattr(self, item.name), f"--{item.name}"
            if value != item.default and item.name != "runs":
                found += [
                    flag,
                    *([] if value is True else value if isinstance(value, tuple) else [str(value)]),
                ]
        return f" {shlex.join(found)}" if found else ""


def jobs_of(trials: int, options: EngineOptions) -> int:
    """Trials at a time, of so many."""
    if options.jobs:
        return options.jobs
    return max(1, trials) if options.engine == "submitit" or options.address else cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
