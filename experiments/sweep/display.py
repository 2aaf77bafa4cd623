"""Progress of all trials: a table that is drawn anew on a terminal, plain lines in a pipe or file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from expirespan.experiments.sweep.plan import Entry, Plan
from expirespan.experiments.sweep.trial_run import Progress
from expirespan.experiments.training.progress import millions, usual_steps

STYLES = {
    "running": "bold",
    "done": "green",
    "pruned": "cyan",
    "failed": "red",
    "stopped": "yellow",
    "waiting": "dim",
}
FIRST = ("running", "failed", "stopped", "waiting", "pruned", "done")
"""Which trials are shown where there is no room for all."""
HEADINGS = ("recipe", "settings", "seed", "state", "steps", "", "last evaluation")
BAR, AROUND = 12, 5
"""Characters of a bar, and lines of the terminal that are no trials."""


class Display:
    """Shows a sweep; `say` prints what happens to a trial, `update` draws where all of them are."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self.plan = plan
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._progress: dict[str, Progress] = {}
        self._shown: dict[str, int] = {}
        self._status: dict[str, str] = {}
        self._live: Live | None = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        """On a terminal, the table for as long as the block lasts."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def say(self, entry: Entry, what: str) -> None:
        """One line, or several for an error, above the table."""
        first, *lines = what.splitlines()
        for line in (f"{entry.trial.title}: {first}", *(f"  {line}" for line in lines)):
            self._print(line)

    def update(self) -> None:
        """Read what has changed and draw it; in a pipe, a line for each new evaluation."""
        for entry in self.plan.entries:
            name, progress = entry.trial.name, self._of(entry)
            if entry.status == "running" or self._status.get(name) != entry.status:
                progress.read()
            self._status[name] = entry.status
            evaluation = progress.evaluation
            if evaluation and self._shown.get(name) != evaluation["step"]:
                if self._live is None and entry.status == "running":
                    self.say(entry, f"{score_words(evaluation)} after {evaluation['step']:,} steps")
                self._shown[name] = evaluation["step"]
        if self._live is not None:
            self._live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """A line for each trial, as many as there is room for."""
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="underline")
        for heading, least in zip(HEADINGS, (None, None, 4, 7, 6, BAR, None), strict=True):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=least)
        room = max(1, self._console.height - AROUND)
        shown = sorted(self.plan.entries, key=lambda entry: FIRST.index(entry.status))[:room]
        for entry in (entry for entry in self.plan.entries if entry in shown):
            table.add_row(*self._row(entry))
        if left := len(self.plan.entries) - len(shown):
            table.add_row("...", f"{left} more")
        table.caption = self._caption()
        table.caption_justify = "left"
        return table

    def _of(self, entry: Entry) -> Progress:
        return self._progress.setdefault(entry.trial.name, Progress(entry.trial))

    def _row(self, entry: Entry) -> list[Any]:
        trial, progress = entry.trial, self._of(entry)
        total = usual_steps(trial.config) or trial.config.total_timesteps
        steps = progress.steps
        full = BAR if entry.status == "done" else min(BAR, BAR * steps // total)
        state = f"{entry.status}, attempt {entry.failures + 1}" if entry.failures else entry.status
        return [
            trial.recipe,
            trial.settings or "-",
            str(trial.seed),
            Text(entry.status if entry.status == "failed" else state, STYLES[entry.status]),
            millions(steps) if steps else "",
            "█" * full + "░" * (BAR - full),
            score_words(progress.evaluation) if progress.evaluation else "",
        ]

    def _caption(self) -> str:
        counts = [
            (status, self.plan.count(status))
            for status in ("done", "pruned", "running", "waiting", "failed", "stopped")
        ]
        return f"{len(self.plan.entries)} trials: " + ", ".join(f"{n} {status}" for status, n in counts if n)

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._console.print(Text(line))
        else:
            print(line, flush=True, file=sys.stdout)


def score_words(evaluation: dict[str, Any]) -> str:
    """An evaluation in words: success or return, and memories alive."""
    success = evaluation["success"]
    words = f"return {evaluation['mean_return']:.2f}" if success is None else f"success {success:.2f}"
    alive = evaluation.get("alive_at_end")
    return f"{words}, {max(alive):.0f} alive" if alive else words
