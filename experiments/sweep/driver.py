"""Driver of a sweep: starts trials as there is room, tries failed ones again, and stops all when asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from expirespan.experiments.sweep.engine import Ended, Engine, Signal
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.plan import Entry, Plan
from expirespan.experiments.sweep.trial_run import checkpoint_of, is_done

PAUSE = 0.2
"""Seconds between two looks at the trials."""


def no_more() -> list[Trial]:
    """No trials beside those of the plan."""
    return []


@dataclass(frozen=True)
class Driver:
    """``jobs``: trials at a time. ``retries``: further attempts of a trial that fails; a new checkpoint renews them.

    ``watch`` is called after every look, ``say`` when something happens to a trial. ``more`` returns trials that the
    plan does not have yet, as soon as they are known; none when nothing runs or waits: there will be none.
    """

    plan: Plan
    engine: Engine
    jobs: int
    retries: int
    watch: Callable[[], None]
    say: Callable[[Entry, str], None]
    more: Callable[[], list[Trial]] = no_more

    def run(self, signal: Signal) -> None:
        """See `Runner`."""
        plan, asked = self.plan, False
        self._take_stock()
        try:
            while True:
                for entry in plan.having("running"):
                    ended = self.engine.poll(plan.job(entry))
                    if ended is not None:
                        self._has_ended(entry, ended, asked)
                if signal.requested and not asked:
                    asked = True
                    self._stop()
                if not asked:
                    plan.add(self.more())
                    self._fill()
                self.watch()
                if not plan.having("running") and (asked or not plan.having("waiting")):
                    return
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            self._stop()
            self._wait_until_gone()
            raise

    def _take_stock(self) -> None:
        """Status of each trial after an earlier driver: done, still running, or to be started."""
        for entry in self.plan.entries:
            if self.engine.find(self.plan.job(entry)):
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
        for entry in self.plan.having("waiting"):
            if self.plan.count("running") >= self.jobs:
                return
            job, (_, step) = self.plan.job(entry), checkpoint_of(entry.trial)
            self.plan.begin(entry, step)
            self.engine.submit(job)
            self.say(entry, f"goes on after {step:,} steps" if step else "begins")

    def _has_ended(self, entry: Entry, ended: Ended, asked: bool) -> None:
        if said := self.plan.end(entry, ended, asked, self.retries):
            self.say(entry, said)

    def _stop(self) -> None:
        for entry in self.plan.having("running"):
            self.engine.stop(self.plan.job(entry))

    def _wait_until_gone(self) -> None:
        for entry in self.plan.having("running"):
            while (ended := self.engine.poll(self.plan.job(entry))) is None:
                time.sleep(PAUSE)
            self._has_ended(entry, ended, asked=True)
