"""Plan of a sweep: its trials and what has become of them, as one JSON file that is replaced at every change."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self, get_args

from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.names import check_name
from expirespan.experiments.run_folder.provenance import commit
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.sweep.trial_run import checkpoint_of, is_done, job_of, last_lines
from expirespan.quoting import said, shown

Status = Literal["waiting", "running", "done", "pruned", "failed", "stopped"]
FILE, VERSION = "plan.json", 1


class Asked(Protocol):
    """What was typed to get a plan's trials."""

    def words(self) -> dict[str, str]:
        """Each part as it is typed, for people and to compare."""

    def command(self, folder: Path, engine: str = "") -> str:
        """The whole command, for a sweep in a folder; ``engine``: options on what runs it."""


@dataclass
class Entry:
    """A trial and what has become of it. ``failures``: attempts in a row that failed without a new checkpoint.

    ``error``: last lines of the last one that failed. ``commit``: of the sources with which it was last begun.
    ``began``: step of the checkpoint with which the present attempt began.
    """

    trial: Trial
    status: Status = "waiting"
    failures: int = 0
    error: str = ""
    commit: str | None = None
    began: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        trial = self.trial
        return {
            "recipe": trial.recipe,
            "overrides": dict(trial.overrides),
            "seed": trial.seed,
            "command": shlex.join(["expirespan", *trial.args]),
            "commit": self.commit,
            "status": self.status,
            "failures": self.failures,
            "error": self.error,
        }


@dataclass(frozen=True)
class Plan:
    """``folder`` has the plan, a folder ``trials`` for their output, and the runs."""

    folder: Path
    asked: Asked
    entries: list[Entry]

    @classmethod
    def open(cls, folder: Path, asked: Asked, trials: list[Trial]) -> Self:
        """The plan in a folder, or a new one there; for the process that has the folder's lock.

        Raises:
            UserError: the folder has the plan of another command.
        """
        entries = [Entry(trial) for trial in trials]
        if (folder / FILE).exists():
            for entry, before in zip(entries, read_plan(folder)["trials"], strict=True):
                entry.status, entry.commit = before["status"], before["commit"]
                entry.failures, entry.error = before["failures"], before["error"]
        plan = cls(folder, asked, entries)
        (folder / "trials").mkdir(exist_ok=True)
        plan.save()
        return plan

    def save(self) -> None:
        """Replace the file."""
        text = {
            "version": VERSION,
            "sweep": self.asked.words(),
            "command": self.again(),
            "trials": [entry.to_dict() for entry in self.entries],
        }
        write_text(self.folder / FILE, json.dumps(text, indent=2) + "\n")

    def again(self, engine: str = "") -> str:
        """The command that goes on; ``engine``: options on what runs it."""
        return self.asked.command(self.folder, engine)

    def having(self, *statuses: Status) -> list[Entry]:
        """Trials with one of these statuses."""
        return [entry for entry in self.entries if entry.status in statuses]

    def count(self, *statuses: Status) -> int:
        """How many trials have one of these statuses."""
        return len(self.having(*statuses))

    def add(self, trials: list[Trial]) -> None:
        """Take more trials in."""
        if trials:
            self.entries.extend(map(Entry, trials))
            self.save()

    def job(self, entry: Entry) -> Job:
        """The process of a trial, as it runs or would be started now."""
        return job_of(entry.trial, self.folder, entry.status == "running")

    def begin(self, entry: Entry, step: int) -> None:
        """Note that an attempt begins at a step."""
        entry.status, entry.began, entry.commit = "running", step, commit()
        self.save()

    def end(self, entry: Entry, ended: Ended, asked: bool, retries: int) -> str:
        """Note how a trial's process ended, and return that in words.

        ``asked``: somebody asked all trials to stop. ``retries``: further attempts of a trial that fails; a new
        checkpoint renews them. Empty for the process of an earlier driver, of which nobody knows why it ended.
        """
        step = checkpoint_of(entry.trial)[1]
        words = ""
        if is_done(entry.trial):
            entry.status, entry.failures, entry.error = "done", 0, ""
            words = "done"
        elif asked:
            entry.status = "stopped"
            words = f"stopped after {step:,} steps"
        elif ended.code is None:
            entry.status = "waiting"
        else:
            entry.failures = 1 if step > entry.began else entry.failures + 1
            how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
            log = self.job(entry).log
            entry.error = last_lines(log) if ended.code > 0 else f"ended by {how}"
            entry.status = "failed" if entry.failures > retries else "waiting"
            then = "" if entry.status == "failed" else "; it is tried again"
            words = f"failed with {how}{then}; all of its output is in {log}\n{entry.error}"
        self.save()
        return words


class Told(NamedTuple):
    """Whom a runner keeps informed: ``watch`` after every look, ``say`` when something happens to a trial."""

    watch: Callable[[], None]
    say: Callable[[Entry, str], None]


def check_folder(folder: Path, asked: Asked) -> None:
    """Raise UserError if a sweep of another command, or something that is no sweep, has this folder."""
    check_name("name", folder.name)
    if not folder.exists():
        return
    if not (folder / FILE).exists():
        if not folder.is_dir() or any(path.name not in ("lock", "trials") for path in folder.iterdir()):
            raise UserError(f"{folder} exists and is no sweep: choose another --name, or another --runs")
        return
    found = read_plan(folder)
    before, now = found["sweep"], asked.words()
    differ = [name for name in now | before if before.get(name, "") != now.get(name, "")]
    if differ:
        words = "; ".join(
            f"{name}: {before.get(name) or 'none'} there, {now.get(name) or 'none'} here" for name in differ
        )
        raise UserError(
            f"the sweep {folder.name!r} in {folder} is of another command ({words}): choose another --name, or go "
            f"on with it: {found['command']}"
        )


def read_plan(folder: Path) -> dict[str, Any]:
    """What the plan's file in a folder holds.

    Raises:
        UserError: it is damaged, or of another version.
    """
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            raise ValueError(f"version {shown(found['version'])}, expected {VERSION}")
        if not all(entry["status"] in get_args(Status) for entry in found["trials"]) or not found["sweep"]:
            raise ValueError("a status that is none")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / FILE} is no plan of a sweep ({said(error)}): restore it, or choose another --name"
        ) from None
    return found
