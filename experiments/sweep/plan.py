"""Plan of a sweep: its trials and what has become of them, as one JSON file that is replaced at every change."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.names import check_name, quoted
from expirespan.experiments.run_folder.provenance import commit
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.grid import Grid, Trial
from expirespan.quoting import said, shown

Status = Literal["waiting", "running", "done", "failed", "stopped"]
FILE, VERSION = "plan.json", 1


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
    grid: Grid
    entries: list[Entry]

    @classmethod
    def open(cls, folder: Path, grid: Grid, trials: list[Trial]) -> Self:
        """The plan in a folder, or a new one there; for the process that has the folder's lock.

        Raises:
            UserError: the folder has the plan of another command.
        """
        entries = [Entry(trial) for trial in trials]
        if (folder / FILE).exists():
            stored = _read(folder)
            for entry, before in zip(entries, stored["trials"], strict=True):
                entry.status, entry.commit = before["status"], before["commit"]
                entry.failures, entry.error = before["failures"], before["error"]
        plan = cls(folder, grid, entries)
        (folder / "trials").mkdir(exist_ok=True)
        plan.save()
        return plan

    def save(self) -> None:
        """Replace the file."""
        text = {
            "version": VERSION,
            "sweep": self.grid.words(),
            "command": again(self.folder, self.grid),
            "trials": [entry.to_dict() for entry in self.entries],
        }
        write_text(self.folder / FILE, json.dumps(text, indent=2) + "\n")

    def count(self, *statuses: Status) -> int:
        """Trials with one of these statuses."""
        return sum(entry.status in statuses for entry in self.entries)

    def begin(self, entry: Entry, step: int) -> None:
        """Note that an attempt begins at a step."""
        entry.status, entry.began, entry.commit = "running", step, commit()
        self.save()


def check_folder(folder: Path, grid: Grid) -> None:
    """Raise UserError if a sweep of another command, or something that is no sweep, has this folder."""
    check_name("name", folder.name)
    if not folder.exists():
        return
    if not (folder / FILE).exists():
        if not folder.is_dir() or any(path.name not in ("lock", "trials") for path in folder.iterdir()):
            raise UserError(f"{folder} exists and is no sweep: choose another --name, or another --runs")
        return
    before, now = _read(folder)["sweep"], grid.words()
    differ = [name for name in now if before.get(name, "") != now[name]]
    if differ:
        words = "; ".join(
            f"{name}: {before.get(name) or 'none'} there, {now[name] or 'none'} here" for name in differ
        )
        raise UserError(
            f"the sweep {folder.name!r} in {folder} is of another command ({words}): choose another --name, or go "
            f"on with it: {_read(folder)['command']}"
        )


def again(folder: Path, grid: Grid) -> str:
    """The command that goes on with a sweep."""
    over = [word for key, values in grid.over for word in ("--over", key, *values)]
    words = ["expirespan", "sweep", *grid.recipes, "--seeds", *map(str, grid.seeds), *over]
    text = f"{shlex.join(words)} --name {quoted(folder.name)}"
    if str(folder.parent) != "runs":
        text += f" --runs {quoted(folder.parent)}"
    return f"{text} -- {shlex.join(grid.more)}" if grid.more else text


def _read(folder: Path) -> dict[str, Any]:
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
