"""Runner by Ray Tune: its workers host the trials' processes, its ASHA decides which trials are not worth going on.

Every trial reports all evaluations of its run in order, those of earlier drivers first, so that nothing of Tune needs
to be restored: what has become of a trial is in its run and in the plan. A worker hosts a trial's process as
`LocalEngine` does. When the worker or the driver dies the process goes on, and whoever comes next finds it by its lock.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the sweep shows the progress
    "RAY_worker_niceness": "0",  # Ray's 15 and the trials' own 10 would leave them nothing on a busy machine
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the sweep has its own, which also hears SIGTERM
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune import Callback, Stopper  # noqa: E402
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler  # noqa: E402

from expirespan.experiments.settings.errors import UserError  # noqa: E402
from expirespan.experiments.sweep.engine import Ended, Signal  # noqa: E402
from expirespan.experiments.sweep.grid import Trial  # noqa: E402
from expirespan.experiments.sweep.hosting import Hosting, wait_until_gone  # noqa: E402
from expirespan.experiments.sweep.local import LocalEngine  # noqa: E402
from expirespan.experiments.sweep.options import EngineOptions, jobs_of  # noqa: E402
from expirespan.experiments.sweep.plan import Entry, Plan, Told  # noqa: E402
from expirespan.experiments.sweep.trial_run import checkpoint_of, is_done  # noqa: E402

FACTOR = 3
"""Of the trials that have come so far, ASHA lets the best third go on: after a ninth of all steps and after a third."""
STEP, SCORE, NAME = "step", "score", "name"


@dataclass(frozen=True)
class Hosted:
    """What a worker must know: the trial, its sweep's folder, seen from ``directory``, and whether it is ``over``."""

    trial: Trial
    sweep: Path
    directory: Path
    over: bool


class HostedTrial(tune.Trainable):  # type: ignore[misc, unused-ignore]  # Ray may not be installed
    """A worker of Ray: hosts the process of one trial, and reports each evaluation of its run."""

    def setup(self, config: dict[str, Any], hosted: dict[str, Hosted]) -> None:
        """Find the trial's process, or start it."""
        mine = hosted[config[NAME]]
        if not mine.directory.is_dir():
            raise RuntimeError(f"{mine.directory} is not on this machine: all machines must see it")
        os.chdir(mine.directory)
        self.hosting = Hosting(mine.trial, mine.sweep, mine.over)
        self.reported: dict[str, Any] = {STEP: 0, SCORE: float("-inf")}

    def step(self) -> dict[str, Any]:
        """Wait for the next evaluation, or for the end."""
        found = self.hosting.next()
        if found is None:
            return self.reported | {"done": True}
        self.reported = dict(zip((STEP, SCORE), found, strict=True))
        return dict(self.reported)

    def cleanup(self) -> None:
        """Stop the process."""
        self.hosting.stop()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run has its own."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the run has its own."""


class TuneRunner:
    """Runs a plan's trials in Ray, on this machine or on a cluster that runs.

    Tune tries a trial that fails again, as often as asked; trials whose attempts a new checkpoint has renewed are run
    in a further round. Trials of an earlier driver take part in pruning by the evaluations that they have.
    """

    def __init__(self, plan: Plan, options: EngineOptions, told: Told) -> None:
        self.plan, self.options, self.told = plan, options, told

    def run(self, signal: Signal) -> None:
        """See `Runner`."""
        self._take_stock()
        with self._connected():
            while not signal.requested and self.plan.count("waiting"):
                self._round(signal)

    def _take_stock(self) -> None:
        for entry in self.plan.entries:
            if is_done(entry.trial):
                entry.status = "done"
            elif entry.status != "pruned" or not self.options.prune:
                entry.status, entry.failures = "waiting", 0
        self.plan.save()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Within it Ray runs, with as many cores as the trials need at a time."""
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is in the trial's own output
        threads = max((entry.trial.config.threads for entry in self.plan.entries), default=1)
        here = {
            "num_cpus": jobs_of(len(self.plan.entries), self.options) * threads,
            "include_dashboard": False,
        }
        try:
            ray.init(
                address=self.options.address or "local",
                logging_level=logging.ERROR,
                log_to_driver=False,
                **({} if self.options.address else here),
            )
        except Exception as error:  # ray has no type for it
            where = self.options.address or "on this machine"
            raise UserError(
                f"Ray cannot be used {where} ({type(error).__name__}: {' '.join(str(error).split())[:300]}); check "
                "that `ray status` works there, with the same versions of Ray and Python"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()

    def _round(self, signal: Signal) -> None:
        pruned = self.plan.having("pruned", "done") if self.options.prune else []
        entries = {entry.trial.name: entry for entry in [*pruned, *self.plan.having("waiting")]}
        configs = [entry.trial.config for entry in entries.values()]
        folder = (self.plan.folder / "tune").absolute()
        shutil.rmtree(folder, ignore_errors=True)
        scheduler = _asha(configs[0].total_timesteps) if self.options.prune else FIFOScheduler()
        told = _Told(self.plan, entries, self.told, self.options, signal)
        hosted = {
            name: Hosted(entry.trial, self.plan.folder, Path.cwd(), entry.status in ("pruned", "done"))
            for name, entry in entries.items()
        }
        resources = {"cpu": max(config.threads for config in configs), "gpu": self.options.gpus}
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(HostedTrial, hosted=hosted), resources),
            param_space={NAME: tune.grid_search(list(hosted))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                max_concurrent_trials=self.options.jobs or None,
                trial_name_creator=lambda trial: trial.config[NAME],
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.plan.folder.absolute()),
                stop=_Asked(signal),
                failure_config=tune.FailureConfig(max_failures=self.options.retries),
                callbacks=[told],
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except KeyboardInterrupt:  # at once
            for entry in self.plan.having("running"):
                LocalEngine().stop(self.plan.job(entry))
            raise
        finally:
            told.settle()


class _Asked(Stopper):  # type: ignore[misc, unused-ignore]
    """Stops all trials when somebody asks for it."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._signal.requested

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy, from which nothing is restored


class _Told(Callback):  # type: ignore[misc, unused-ignore]
    """Notes in the plan what Tune says of the trials."""

    def __init__(
        self, plan: Plan, entries: dict[str, Entry], told: Told, options: EngineOptions, signal: Signal
    ) -> None:
        self._plan, self._entries, self._told = plan, entries, told
        self._options, self._signal = options, signal
        self._ended: dict[str, Ended] = {}
        self._pruned: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy, from which nothing is restored

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._told.watch()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        entry = self._of(trial)
        if entry.status not in ("done", "pruned"):
            step = checkpoint_of(entry.trial)[1]
            self._plan.begin(entry, step)
            self._told.say(entry, f"goes on after {step:,} steps" if step else "begins")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._told.say(self._of(trial), "failed; it is tried again")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended[self._of(trial).trial.name] = Ended(1)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        entry = self._of(trial)
        if entry.status == "running":
            if is_done(entry.trial):
                self._told.say(entry, self._plan.end(entry, Ended(0), False, 0))
            elif not self._signal.requested:
                self._pruned.add(entry.trial.name)

    def settle(self) -> None:
        """When all is over: what has become of the trials that did not say so."""
        engine = LocalEngine()
        for entry in self._plan.having("running"):
            wait_until_gone(engine, entry.trial, self._plan.folder)
            name = entry.trial.name
            if name in self._pruned and not is_done(entry.trial):
                entry.status, step = "pruned", checkpoint_of(entry.trial)[1]
                self._plan.save()
                self._told.say(entry, f"pruned after {step:,} steps")
                continue
            ended = self._ended.get(name, Ended(None))
            if ended.code:  # Tune has tried as often as it may
                entry.failures = self._options.retries
            if said := self._plan.end(entry, ended, self._signal.requested, self._options.retries):
                self._told.say(entry, said)
        self._told.watch()

    def _of(self, trial: Any) -> Entry:
        return self._entries[trial.config[NAME]]


def _asha(steps: int) -> ASHAScheduler:
    """Prunes after a ninth and a third of the steps, and never at the end: a run that has come so far is completed."""
    return ASHAScheduler(
        time_attr=STEP,
        metric=SCORE,
        mode="max",
        grace_period=max(1, steps // FACTOR**2),
        max_t=max(2, steps - 1),
        reduction_factor=FACTOR,
        stop_last_trials=False,
    )
