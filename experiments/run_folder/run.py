"""The folder of one training run: its files, and how they are made, written and read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from expirespan.experiments.run_folder.checkpoints import damage_of, newest_whole, step_checkpoints
from expirespan.experiments.run_folder.evaluations import read_evaluations
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.settings import Config, texts
from expirespan.experiments.settings.config_file import read_config, to_yaml
from expirespan.experiments.settings.errors import UserError

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
    - ``checkpoints/`` the newest ``step-*.zip`` and ``best.zip``;
    - ``traces/`` episodes step by step, ``pictures/`` drawings of them;
    - ``tensorboard/``, ``wandb/``.
    """

    folder: Path

    @classmethod
    def create(cls, config: RunSettings) -> Self:
        """Make ``<runs>/<recipe>/<time>-<seed>``, with the settings in it.

        Raises:
            UserError: the folder cannot be written.
        """
        parent = Path(config.runs) / config.recipe
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.seed}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            run = cls(_new_folder(parent, stem))
            run._make_folders()
            write_text(run.folder / _CONFIG, to_yaml(config))
            write_text(run.folder / "about.json", json.dumps(provenance(), indent=2) + "\n")
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
                f"`expirespan sequence --evaluate {self.folder}` scores it"
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

    def save_checkpoint(self, model: Any, keep: int) -> Path:
        """Save under the step at which it goes on when resumed, then remove all but the newest ``keep``."""
        path = self.checkpoints / f"step-{model.resumable_timesteps:010d}.zip"
        model.save(path)
        for old in self.step_checkpoints()[: -max(keep, 1)]:
            old.unlink()
        return path

    def add_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Append a line to ``evaluations.jsonl``."""
        with (self.folder / "evaluations.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(evaluation) + "\n")

    def drop_evaluations(self, after: int) -> None:
        """Forget those after a step; what an interrupted write has left goes as well."""
        kept = [json.dumps(entry) + "\n" for entry in self.evaluations() if entry["step"] <= after]
        write_text(self.folder / "evaluations.jsonl", "".join(kept))

    def evaluations(self) -> list[dict[str, Any]]:
        """What `add_evaluation` was given, in order; a damaged line, such as one cut off by a crash, is left out."""
        return read_evaluations(self.folder / "evaluations.jsonl")


def _new_folder(parent: Path, stem: str) -> Path:
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        folder = parent / f"{stem}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / stem} and 998 more exist")
