"""The run of a trial: found by its place and seed, and what its files say of its progress."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expirespan.experiments.run_folder.checkpoints import checkpoint_step
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.engine import Job
from expirespan.experiments.sweep.grid import Trial
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.training.history import finished
from expirespan.experiments.training.session import is_complete


def find_run(trial: Trial) -> Run | None:
    """The newest run of a trial, with checkpoints if one has any; None before the first."""
    runs = [Run.open(folder) for folder in _folders(trial) if (folder / "config.yaml").is_file()]
    return max(runs, key=lambda run: (bool(run.step_checkpoints()), run.folder.name), default=None)


def is_done(trial: Trial) -> bool:
    """Whether a trial has a run that has come to its end, with all of its logs."""
    run = find_run(trial)
    return run is not None and finished(run) and is_complete(run, run.evaluations()[-1]["step"])


def checkpoint_of(trial: Trial) -> tuple[Run | None, int]:
    """The run to go on with and the step of its newest checkpoint, 0 if there is none; None before the first run."""
    run = find_run(trial)
    saved = run.step_checkpoints() if run else []
    return run, checkpoint_step(saved[-1]) if saved else 0


def job_of(trial: Trial, sweep: Path, running: bool = False) -> Job:
    """A trial's process: it begins, or goes on with the run that it has. ``sweep``: the sweep's folder.

    ``running``: it has begun, so that nobody needs to know what to begin with.
    """
    run = None if running else find_run(trial)
    args = trial.args if run is None else ("train", "--resume", str(run.folder))
    folder = sweep / "trials"
    return Job(
        trial.name, args, folder / f"{trial.name}.log", folder / f"{trial.name}.lock", trial.config.threads
    )


def last_lines(log: Path, count: int = 3) -> str:
    """The last lines of a trial's output that are not empty."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


@dataclass
class Progress:
    """Steps and last evaluation of a trial, read from its run's files when they have changed."""

    trial: Trial
    steps: int = 0
    evaluation: dict[str, Any] | None = None
    _seen: tuple[float, float] = field(default=(0.0, 0.0))

    def read(self) -> None:
        """Look at the files; what is being written at this moment is seen the next time."""
        try:
            run = find_run(self.trial)
            if run is None:
                return
            seen = _changed(run.progress), _changed(run.folder / "evaluations.jsonl")
            if seen == self._seen:
                return
            entries = run.evaluations()
            rows = read_csv(run.progress) if run.progress.exists() else []
            self.evaluation = entries[-1] if entries else None
            logged = [row.get(STEP) or "0" for row in rows[-1:]]
            self.steps = int(
                max([float(step) for step in logged] + [entry["step"] for entry in entries[-1:]] + [0])
            )
            self._seen = seen
        except (OSError, ValueError, UserError):
            return


def _folders(trial: Trial) -> list[Path]:
    parent = Path(trial.config.runs) / trial.recipe
    name = re.compile(rf"\d{{8}}-\d{{6}}-{trial.seed}(-\d+)?")
    return sorted(path for path in parent.glob("*") if name.fullmatch(path.name))


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
