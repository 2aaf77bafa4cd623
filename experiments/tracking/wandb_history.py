"""Earlier parts of a run, which W&B has in other folders: the newest folder takes their rows over.

`wandb sync` of a second offline folder of one run replaces what it uploaded of the first. So the newest folder gets the
whole history, and the files of the older ones are renamed to ``.wandb.superseded``, which `wandb sync` does not find.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from expirespan.experiments.tracking.wandb_files import Row, rows_of

SUPERSEDED = ".superseded"
"""What the name of a file ends in whose rows a newer one has."""
PATIENCE = 10.0
"""Seconds to wait at the end until W&B's process has written the rows."""


class Earlier:
    """Earlier parts of a run that has been resumed, whose rows ``run`` takes over.

    ``logged``: rows of each step beyond those kept that W&B's server has already. ``step``: W&B's number of the next
    row. ``kept``: how many rows of each step count; None for all up to ``until``.
    """

    def __init__(
        self, run: Any, files: Sequence[Path], key: str, until: int, kept: Mapping[int, int] | None
    ) -> None:
        sent = [file for file in files if not run.offline and is_sent(file)]
        self.logged: Counter[int] = Counter()
        for step, count in Counter(row.step for file in sent for row in rows_of(file, key)).items():
            self.logged[step] = count - (kept.get(step, 0) if kept is not None else count * (step <= until))
        rows = [row for row in kept_rows(files, key, until, kept) if row.file not in sent]
        self.step: int = take_over(run, rows, run.step)
        self._key, self._rows, self._checks = key, len(rows), 0
        self._files = [file for file in files if file not in sent]
        self._newest = Path(run.dir).parent

    def logged_one(self) -> None:
        """Count a row that was logged after the others, and now and then try to `supersede`."""
        self.step += 1
        self._checks += 1
        if self._checks & (self._checks - 1) == 0:  # after 1, 2, 4, 8, ... rows
            self.supersede()

    def supersede(self, wait: float = 0.0) -> None:
        """Rename the files of the parts, if the newest has their rows on disk, or will within ``wait`` seconds."""
        until = time.monotonic() + wait
        while self._files:
            files = self._newest.glob("*.wandb")
            if sum(1 for file in files for _ in rows_of(file, self._key)) >= self._rows:
                for file in self._files:
                    with contextlib.suppress(OSError):  # it is not there any more, or may not be renamed
                        file.rename(file.with_name(file.name + SUPERSEDED))
                self._files = []
            elif time.monotonic() >= until:
                return
            else:
                time.sleep(0.1)


def is_sent(file: Path) -> bool:
    """Whether W&B's server has a file's rows: those of an online run, or of one that was synced."""
    return not file.parent.name.startswith("offline-") or file.with_name(f"{file.name}.synced").exists()


def kept_rows(files: Iterable[Path], key: str, until: int, kept: Mapping[int, int] | None) -> list[Row]:
    """The rows of all parts that count, in their order, each once: from the newest part that has it."""
    found: dict[tuple[int, int], Row] = {}
    for file in files:
        seen: Counter[int] = Counter()
        for row in rows_of(file, key):
            if seen[row.step] < kept.get(row.step, 0) if kept is not None else row.step <= until:
                found[row.step, seen[row.step]] = row
            seen[row.step] += 1
    return [found[place] for place in sorted(found)]


def take_over(run: Any, rows: Iterable[Row], first: int) -> int:
    """Log rows as they were, with their pictures and tables, numbered from ``first``; the number after the last."""
    interface = getattr(run, "_interface", None) or run._backend.interface  # of newer and of older versions
    for row in rows:
        for given in row.records:
            kind, record = given.WhichOneof("record_type"), type(given)()
            getattr(record, kind).CopyFrom(getattr(given, kind))
            for item in record.files.files if kind == "files" else ():
                _link(row.file.parent / "files" / item.path, Path(run.dir) / item.path)
            if kind == "history":
                record.history.step.num = first
                for item in record.history.item:
                    if item.key == "_step":
                        item.value_json = str(first)
            interface._publish(record)
        first += 1
    return first


def _link(source: Path, target: Path) -> None:
    if not source.is_file() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
