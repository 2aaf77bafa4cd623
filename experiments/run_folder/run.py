"""The folder of one training run: its files, and how they are made, written and read."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from expirespan.experiments.run_folder.checkpoints import damage_of, newest_whole, step_checkpoints
from expirespan.experiments.run_folder.evaluations import read_evaluations
from expirespan.experiments.run_folder.files import atomically, remove_abandoned, sync, write_text
from expirespan.experiments.run_folder.names import check_name, check_path, quoted
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.settings import Config, texts
from expirespan.experiments.settings.config_file import read_config, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said

_CONFIG = "config.yaml"


class RunSettings(Protocol):
    """What a run's folder is named after."""

    @property
    def runs(self) -> str:
        """Folder for run folders."""

    @property
    def recipe(self) -> str:
        """Name of the folder under it."""

    @property
    def seed(self) -> int:
        """The seed."""


@dataclass(frozen=True)
class Run:
    """``folder`` holds

    - ``config.yaml`` the settings, ``about.json`` command, commit and machine;
    - ``progress.csv`` a row per rollout and evaluation, ``evaluations.jsonl`` the evaluations in full;
    - ``checkpoints/`` ``best.zip``, the newest ``step-*.zip``, and to each a ``step-*.json``: what was logged by then;
    - ``traces/`` episodes step by step, ``pictures/`` drawings of them;
    - ``tensorboard/``, ``wandb/``.
    """

    folder: Path

    @classmethod
    def create(cls, config: RunSettings) -> Self:
        """Make ``<runs>/<recipe>/<time>-<seed>``, with the settings in it.

        Raises:
            UserError: the folder cannot be written, or the recipe's name would lead elsewhere.
        """
        check_name("recipe", config.recipe)
        check_path("runs", config.runs)
        parent = Path(config.runs) / config.recipe
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.seed}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            run = cls(_new_folder(parent, stem))
            try:
                run._make_folders()
                write_text(run.folder / "about.json", json.dumps(provenance(), indent=2) + "\n")
                write_text(run.folder / _CONFIG, to_yaml(config))  # last: it makes the folder a run
            except BaseException:
                shutil.rmtree(run.folder, ignore_errors=True)
                raise
        except OSError as error:
            raise UserError(
                f"cannot write the run folder under {parent}: {error.strerror or error}; choose a folder you "
                "may write to with --runs FOLDER, or free space on the disk"
            ) from None
        return run

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """An existing run; of a folder of runs, the newest.

        Raises:
            UserError: there is no run.
        """
        folder = Path(path)
        inner = sorted(file.parent for file in folder.glob(f"*/{_CONFIG}")) if folder.is_dir() else []
        if not (folder / _CONFIG).is_file() and inner:
            folder = inner[-1]
        if not (folder / _CONFIG).is_file():
            raise UserError(
                f"{str(path)!r} is no run: expected a folder with a {_CONFIG}, such as "
                "runs/corridor/20261120-120000-0, or a folder of such"
            )
        run = cls(folder)
        run._make_folders()
        return run

    def _make_folders(self) -> None:
        for folder in (self.checkpoints, self.traces, self.pictures):
            folder.mkdir(exist_ok=True)

    @property
    def config(self) -> Config:
        """The settings the run was made with.

        Raises:
            UserError: it is a run on a sequence task, which has others.
        """
        path = self.folder / _CONFIG
        text = texts.read_text(path, texts.MOST_SETTINGS)
        if any(line.startswith("task:") for line in text.splitlines()):
            raise UserError(
                f"{self.folder} is a run of `expirespan sequence`, where a run of `expirespan train` is expected: "
                f"`expirespan sequence --evaluate {quoted(self.folder)}` scores it"
            )
        return read_config(path)

    @property
    def name(self) -> str:
        """``<recipe>-<time>-<seed>``."""
        return f"{self.folder.parent.name}-{self.folder.name}"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def traces(self) -> Path:
        """Folder of recorded episodes."""
        return self.folder / "traces"

    def trace_at(self, step: int) -> Path:
        """Where the episode that the evaluation at a step recorded is saved."""
        return self.traces / f"step-{step:010d}.npz"

    @property
    def pictures(self) -> Path:
        """Folder of drawings."""
        return self.folder / "pictures"

    @property
    def progress(self) -> Path:
        """The table of progress."""
        return self.folder / "progress.csv"

    @property
    def best(self) -> Path:
        """The checkpoint that did best in evaluation."""
        return self.checkpoints / "best.zip"

    def step_checkpoints(self) -> list[Path]:
        """Checkpoints by step, newest last."""
        return step_checkpoints(self.checkpoints)

    def newest_checkpoint(self, set_aside: bool = False) -> Path:
        """The newest checkpoint that is whole; says which are damaged, and renames them if they are ``set_aside``.

        Raises:
            UserError: there is none yet, or all are damaged.
        """
        found = self.step_checkpoints()
        if not found:
            raise UserError(f"{self.folder} has no checkpoint yet: train it first, or choose another run")
        return newest_whole(found, set_aside)

    def find_checkpoint(self, which: str) -> Path:
        """The checkpoint called ``best``, ``last``, or the one in a file of that name.

        Raises:
            UserError: it does not exist.
        """
        if which == "last" or (which == "best" and not self.best.exists()):
            return self.newest_checkpoint()
        path = self.best if which == "best" else Path(which)
        if not path.is_file():
            raise UserError(f"checkpoint={which!r}: expected best, last or the path of a checkpoint file")
        if which == "best" and (wrong := damage_of(path)):
            raise UserError(f"{wrong}; --checkpoint last takes the newest one")
        return path

    def tidy(self) -> None:
        """Remove what killed processes have left half-written; for the process that has the lock."""
        remove_abandoned(self.checkpoints, mine=True)
        for folder in (self.folder, self.traces, self.pictures):
            remove_abandoned(folder)

    def save_checkpoint(self, model: Any, keep: int, logged: dict[str, Any]) -> Path:
        """Save under the step at which it goes on when resumed, then remove all but the newest ``keep``.

        One that exists stays as it is. ``logged``: what `logged` returns for it from now on.
        """
        path = self.checkpoint_at(model.resumable_timesteps)
        if not path.exists():
            write_text(path.with_suffix(".json"), json.dumps(logged) + "\n")  # first: no checkpoint lacks it
            model.save(path)
        self.drop_checkpoints(keep)
        return path

    def checkpoint_at(self, step: int) -> Path:
        """Where the checkpoint of a step is saved."""
        return self.checkpoints / f"step-{step:010d}.zip"

    def drop_checkpoints(self, keep: int) -> None:
        """Remove all checkpoints but the newest ``keep``."""
        for old in self.step_checkpoints()[: -max(keep, 1)]:
            old.unlink()
        for note in self.checkpoints.glob("step-*.json"):
            if not note.with_suffix(".zip").exists():
                note.unlink()

    def logged(self, step: int) -> dict[str, Any]:
        """What had been logged when the checkpoint of a step was saved; nothing if an older version saved it."""
        path = self.checkpoint_at(step).with_suffix(".json")
        try:
            found: dict[str, Any] = texts.parse_json(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not isinstance(found.get("saved"), dict):
                raise ValueError("it holds something else")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({said(error)}): it says what was logged when the checkpoint beside it was "
                "saved; remove both to go on from the checkpoint before"
            ) from None
        return found

    def note_logged(self, step: int, logged: dict[str, Any]) -> None:
        """Replace what `logged` returns for a step."""
        write_text(self.checkpoint_at(step).with_suffix(".json"), json.dumps(logged) + "\n")

    def take_as_best(self, checkpoint: Path) -> None:
        """Copy a checkpoint to ``best.zip``."""
        with atomically(self.best) as temporary:
            shutil.copyfile(checkpoint, temporary)

    def add_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Append a line to ``evaluations.jsonl``."""
        with self._evaluations.open("a", encoding="utf-8") as file:
            file.write(json.dumps(evaluation) + "\n")

    def keep_evaluations(self, first: int) -> None:
        """Forget all but the ``first`` ones; what an interrupted write has left goes as well."""
        kept = "".join(json.dumps(entry) + "\n" for entry in self.evaluations()[:first])
        if not self._evaluations.exists() or self._evaluations.read_bytes() != kept.encode():
            write_text(self._evaluations, kept)

    def sync_evaluations(self) -> None:
        """Wait until they are on disk."""
        if self._evaluations.exists():
            sync(self._evaluations)

    def evaluations(self) -> list[dict[str, Any]]:
        """What `add_evaluation` was given, in order; a damaged line, such as one cut off by a crash, is left out."""
        return read_evaluations(self._evaluations)

    @property
    def _evaluations(self) -> Path:
        return self.folder / "evaluations.jsonl"


def _new_folder(parent: Path, stem: str) -> Path:
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        folder = parent / f"{stem}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / stem} and 998 more exist")
