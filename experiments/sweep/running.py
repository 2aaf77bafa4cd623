"""Checks what was asked for, runs a plan's trials by the engine, shows their progress, and says how to go on."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expirespan.experiments.making.registered import check_arguments, spec_of
from expirespan.experiments.run_folder.names import check_name, check_path
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.sweep.display import Display
from expirespan.experiments.sweep.driver import Driver, no_more
from expirespan.experiments.sweep.engine import Runner
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.options import ENGINES, EngineOptions, Package, jobs_of
from expirespan.experiments.sweep.plan import Plan, Told
from expirespan.experiments.terminal.text import fitted
from expirespan.experiments.training.interrupt import StopOnSignal

STOPPED = 130
PATIENCE = 5.0
"""Seconds in which an address must answer."""


def run(plan: Plan, options: EngineOptions, more: Callable[[], list[Trial]] = no_more) -> None:
    """Until every trial is done, pruned or has failed, or somebody asks to stop."""
    display = Display(plan)
    runner = make_runner(plan, options, Told(display.update, display.say), more)
    count = f"{len(plan.entries)} trials, " if more is no_more else ""
    print(fitted(f"{count}{jobs_of(len(plan.entries), options)} at a time, in {plan.folder}"), flush=True)
    try:
        with StopOnSignal() as signal, display.showing():
            runner.run(signal)
    finally:
        if plan.count("waiting", "running", "stopped", "failed"):
            done, command = plan.count("done", "pruned"), plan.again(options.words())
            print(f"{done} of {len(plan.entries)} trials are done; to go on: {command}")


def make_runner(plan: Plan, options: EngineOptions, told: Told, more: Callable[[], list[Trial]]) -> Runner:
    """What runs a plan's trials; ``more`` as of `Driver`."""
    if options.engine == "ray":
        from expirespan.experiments.sweep.ray_tune import TuneRunner

        return TuneRunner(plan, options, told)
    engine: Any
    if options.engine == "submitit":
        from expirespan.experiments.sweep.slurm import SubmititEngine

        engine = SubmititEngine(plan.folder, options.slurm, options.gpus)
    else:
        from expirespan.experiments.sweep.local import LocalEngine

        engine = LocalEngine()
    return Driver(
        plan, engine, jobs_of(len(plan.entries), options), options.retries, told.watch, told.say, more
    )


def print_failed(plan: Plan) -> None:
    """Say which trials have failed, and the last lines of their output."""
    for entry in plan.having("failed"):
        lines = "\n".join(f"  {line}" for line in entry.error.splitlines())
        print(
            f"failed: {entry.trial.title}; its output is in {plan.folder}/trials/{entry.trial.name}.log\n{lines}"
        )


def exit_code(plan: Plan) -> int:
    """0 if every trial is done, 1 if one has failed, 130 if they were stopped."""
    return STOPPED if plan.count("stopped", "waiting") else int(plan.count("failed") > 0)


def folder_of(name: str, runs: str) -> Path:
    """The folder of a sweep.

    Raises:
        UserError: no folder can have that name.
    """
    check_name("name", name)
    check_path("runs", runs)
    return Path(runs) / name


def make_folder(folder: Path) -> None:
    """Make a sweep's folder, if it does not exist.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; choose a folder you may write to with --runs FOLDER"
        ) from None


def check_environments(found: list[Trial]) -> None:
    """Raise UserError if an environment's package is missing, or its constructor does not take an argument."""
    import expirespan.envs  # noqa: F401  (registers the environments)

    environments = {repr(env): env for trial in found for env in (trial.config.env, trial.config.eval_env)}
    for env in environments.values():
        check_arguments(spec_of(env), env.parameters)


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
