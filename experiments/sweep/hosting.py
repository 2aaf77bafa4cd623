"""A trial's process on the machine of its host, such as a worker of Ray, and its run's evaluations in order."""

from __future__ import annotations

import time
from pathlib import Path

from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.local import LocalEngine
from expirespan.experiments.sweep.trial_run import find_run, is_done, job_of
from expirespan.experiments.training.target import rank

PAUSE = 0.2
"""Seconds between two looks at the trial."""
GRACE = 60.0
"""Seconds that a process has to save and end when its trial is stopped."""


class Hosting:
    """Finds the process of a trial if it still runs, or starts it, unless there is nothing left to do.

    ``sweep``: the sweep's folder. ``over``: the run is not to go on, and only its evaluations are wanted.
    """

    def __init__(self, trial: Trial, sweep: Path, over: bool) -> None:
        self._trial, self._sweep, self._over = trial, sweep, over
        self._engine, self._job = LocalEngine(), job_of(trial, sweep)
        self._reported = 0
        if not over and not is_done(trial):
            self._start()

    def next(self) -> tuple[int, float] | None:
        """Wait for the next evaluation: its step, and its score as far as the target asks for it; None at the end.

        Those of earlier processes come first.

        Raises:
            RuntimeError: the process has failed.
        """
        while True:
            ended = None if self._over else self._engine.poll(self._job)
            complete = self._over or (is_done(self._trial) and ended is not None)
            run = find_run(self._trial)
            found = run.evaluations() if run else []
            if len(found) > self._reported:
                entry = found[self._reported]
                self._reported += 1
                return entry["step"], rank(entry, self._trial.config.target)[0]
            if complete:
                return None
            if ended is not None and ended.code is None:  # of an earlier host: nobody knows why it ended
                self._start()
            elif ended is not None:
                raise RuntimeError(f"exit code {ended.code}")
            time.sleep(PAUSE)

    def stop(self) -> None:
        """Stop the process, so that it saves a checkpoint, and wait for its end."""
        self._engine.stop(self._job)
        wait_until_gone(self._engine, self._trial, self._sweep)

    def _start(self) -> None:
        self._job = job_of(self._trial, self._sweep)
        if not self._engine.find(self._job):
            self._engine.submit(self._job)


def wait_until_gone(engine: LocalEngine, trial: Trial, sweep: Path) -> None:
    """Until the process of a trial has ended, or its time to end is over."""
    job, until = job_of(trial, sweep, running=True), time.monotonic() + GRACE
    while engine.find(job) and time.monotonic() < until:
        time.sleep(PAUSE)
