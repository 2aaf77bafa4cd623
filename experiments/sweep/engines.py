"""Checks of what runs a sweep, before anything is written: packages, addresses, options that do not fit together."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.options import ENGINES, EngineOptions, Package
from expirespan.experiments.sweep.plan import Entry, Plan

PATIENCE = 5.0
"""Seconds in which an address must answer."""


class Told(NamedTuple):
    """Whom a runner keeps informed: ``watch`` after every look, ``say`` when something happens to a trial."""

    watch: Callable[[], None]
    say: Callable[[Entry, str], None]


def check_engine(options: EngineOptions) -> None:
    """Raise UserError if the options do not fit, a package is missing, or an address does not answer."""
    engine = options.engine
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    for name, given, takes in (
        ("address", options.address, ("ray",)),
        ("prune", options.prune, ("ray",)),
        ("gpus", options.gpus, ("ray", "submitit")),
        ("slurm", options.slurm, ("submitit",)),
    ):
        if given and engine not in takes:
            raise UserError(f"--{name} is for --engine {' or '.join(takes)}, and this one is {engine}")
    if options.jobs < 0 or options.retries < 0 or options.gpus < 0:
        raise UserError(
            f"jobs={options.jobs}, retries={options.retries}, gpus={options.gpus}: expected at least 0 of each"
        )
    if package := ENGINES[engine]:
        need(package, f"--engine {engine}")
    if options.address:
        _check_address(options.address)
    if engine == "submitit":
        from expirespan.experiments.sweep.slurm import read_parameters

        read_parameters(options.slurm, options.gpus)


def check_prunable(trials: Sequence[Trial]) -> None:
    """Raise UserError unless all trials can be compared while they run: one task, one budget, one target."""
    kinds = {
        str(
            [
                to_dict(config.eval_env),
                config.total_timesteps,
                config.target.success,
                config.target.mean_return,
            ]
        )
        for config in (trial.config for trial in trials)
    }
    if len(kinds) > 1:
        raise UserError(
            "--prune stops trials that do worse than others after as many steps, and these differ in evaluation "
            "environment, total-timesteps or target: sweep over other settings, or leave --prune out"
        )


def need(package: Package, what: str) -> None:
    """Raise UserError if a package cannot be imported that something needs."""
    try:
        importlib.import_module(package.module)
    except ImportError as error:
        name = package.module.partition(".")[0]
        raise UserError(
            f"{what} needs {name}, which cannot be imported ({error}): pip install 'expirespan[{package.extra}]'"
        ) from None


def jobs_of(plan: Plan, options: EngineOptions) -> int:
    """Trials at a time."""
    if options.jobs:
        return options.jobs
    return max(1, len(plan.entries)) if options.engine == "submitit" or options.address else cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"address={address!r}: expected HOST:PORT, as `ray start --head` prints it")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        raise UserError(
            f"address={address}: nothing answers there ({error}); start the cluster with `ray start --head`, or leave "
            "--address out to run on this machine"
        ) from None
