"""Driver of a sweep: starts trials as there is room, tries failed ones again, and stops all when asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from expirespan.experiments.sweep.engine import Ended, Engine, Job
from expirespan.experiments.sweep.plan import Entry, Plan
from expirespan.experiments.sweep.trial_run import checkpoint_of, is_done, last_lines

PAUSE = 0.2
"""Seconds between two looks at the trials."""


class Signal(Protocol):
    """Whether somebody asked to stop."""

    requested: bool


@dataclass(frozen=True)
class Driver:
    """``jobs``: trials at a time. ``retries``: further attempts of a trial that fails; a new checkpoint renews them.

    ``watch`` is called after every look, ``say`` when something happens to a trial.
    """

    plan: Plan
    engine: Engine
    jobs: int
    retries: int
    watch: Callable[[], None]
    say: Callable[[Entry, str], None]

    def run(self, signal: Signal) -> None:
        """Until every trial is done or has failed, or all have stopped after ``signal``.

        KeyboardInterrupt, which a second signal raises, stops the trials at once.
        """
        self._take_stock()
        asked = False
        try:
            while True:
                for entry in self._with("running"):
                    ended = self.engine.poll(self.job(entry))
                    if ended is not None:
                        self._has_ended(entry, ended, asked)
                if signal.requested and not asked:
                    asked = True
                    self._stop()
                if not asked:
                    self._fill()
                self.watch()
                if not self._with("running") and (asked or not self._with("waiting")):
                    return
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            self._stop()
            self._wait_until_gone()
            raise

    def job(self, entry: Entry) -> Job:
        """A trial's process: it begins, or goes on with the checkpoint that it has."""
        trial, folder = entry.trial, self.plan.folder / "trials"
        run, _ = checkpoint_of(trial) if entry.status != "running" else (None, 0)
        args = trial.args if run is None else ("train", "--resume", str(run.folder))
        return Job(
            trial.name,
            args,
            folder / f"{trial.name}.log",
            folder / f"{trial.name}.lock",
            trial.config.threads,
        )

    def _take_stock(self) -> None:
        """Status of each trial after an earlier driver: done, still running, or to be started."""
        for entry in self.plan.entries:
            if self.engine.find(self.job(entry)):
                entry.status = "running"
                entry.began = checkpoint_of(entry.trial)[1]
                self.say(entry, "still runs")
            elif is_done(entry.trial):
                entry.status = "done"
            else:
                entry.status, entry.failures = "waiting", 0
        self.plan.save()

    def _fill(self) -> None:
        """Start trials as long as there is room."""
        for entry in self._with("waiting"):
            if len(self._with("running")) >= self.jobs:
                return
            job, (_, step) = self.job(entry), checkpoint_of(entry.trial)
            self.plan.begin(entry, step)
            self.engine.submit(job)
            self.say(entry, f"goes on after {step:,} steps" if step else "begins")

    def _has_ended(self, entry: Entry, ended: Ended, asked: bool) -> None:
        step = checkpoint_of(entry.trial)[1]
        if is_done(entry.trial):
            entry.status, entry.failures, entry.error = "done", 0, ""
            self.say(entry, "done")
        elif asked:
            entry.status = "stopped"
            self.say(entry, f"stopped after {step:,} steps")
        elif ended.code is None:  # an earlier driver's: nobody knows why it ended
            entry.status = "waiting"
        else:
            entry.failures = 1 if step > entry.began else entry.failures + 1
            how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
            log = self.job(entry).log
            entry.error = last_lines(log) if ended.code > 0 else f"ended by {how}"
            entry.status = "failed" if entry.failures > self.retries else "waiting"
            then = "" if entry.status == "failed" else "; it is tried again"
            self.say(entry, f"failed with {how}{then}; all of its output is in {log}\n{entry.error}")
        self.plan.save()

    def _stop(self) -> None:
        for entry in self._with("running"):
            self.engine.stop(self.job(entry))

    def _wait_until_gone(self) -> None:
        for entry in self._with("running"):
            while (ended := self.engine.poll(self.job(entry))) is None:
                time.sleep(PAUSE)
            self._has_ended(entry, ended, asked=True)

    def _with(self, status: str) -> list[Entry]:
        return [entry for entry in self.plan.entries if entry.status == status]
