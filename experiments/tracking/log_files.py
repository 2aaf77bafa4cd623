"""Log files that stable-baselines3's logger writes: the CSV of record, and TensorBoard with histograms."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from expirespan.agents import Histogram
from expirespan.experiments.run_folder.files import atomically, sync
from expirespan.experiments.tracking.csv_rows import read_table

STEP = "time/total_timesteps"
"""The key whose value is the horizontal axis of everything logged."""

ONE_LINE = str.maketrans({"\r": " ", "\n": " ", "\0": " "})
"""A row is one line, so that damage stays within it."""

NOT_TEXT = ("stdout", "log", "json", "csv")
"""Formats that histograms and pictures are kept from."""


class CSVWriter(KVWriter):
    """A row per call, a column per key in the order of their first appearance.

    Unlike SB3's writer it appends to the file it finds, so that a resumed run goes on in it: after its ``first``
    rows, or after those up to step ``until``. Its columns have the same order in every process. A row with a new key
    rewrites the file, which happens a few times per run. ``rows``: how many there are.
    """

    def __init__(self, path: Path, until: int | None = None, first: int | None = None) -> None:
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        if path.exists():
            self.columns, rows, damaged = read_table(path, STEP)
            if damaged:
                shutil.copyfile(path, path.with_name(f"damaged-{path.name}"))
            kept = [row for row in rows[:first] if _is_until(row, until)]
            self.rows = len(kept)
            self._rewrite(kept)
        else:
            path.touch()

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Append the scalars and texts among the values."""
        row = {
            key: _plain(value)
            for key, value in key_values.items()
            if "csv" not in (key_excluded.get(key) or ()) and np.ndim(value) == 0
        }
        row.setdefault(STEP, step)
        new = [key for key in row if key not in self.columns]
        if new:
            rows = read_csv(self.path)
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)
        self.rows += 1

    def sync(self) -> None:
        """Wait until all rows are on disk."""
        sync(self.path)

    def steps(self) -> Counter[int]:
        """How many rows there are of each step."""
        return Counter(int(row[STEP] or 0) for row in read_csv(self.path) if STEP in row)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomically(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def close(self) -> None:
        """Nothing is held open."""


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows by column; an empty text where a row has no value. Damaged ones are left out, with a warning."""
    return read_table(path, STEP).rows if path.stat().st_size else []


def _is_until(row: dict[str, str], until: int | None) -> bool:
    return until is None or int(row[STEP] or 0) <= until


class TensorBoardWriter(TensorBoardOutputFormat):
    """SB3's, which also takes a `Histogram`, and goes on in a folder as a resumed run does.

    Event files are cut to ``sizes``, bytes by name, and those without a size removed. Without ``sizes`` nothing is
    cut. What was logged after step ``until`` is hidden in either case, from programs that show the files meanwhile.
    """

    def __init__(self, folder: str, until: int | None = None, sizes: dict[str, int] | None = None) -> None:
        self.folder = Path(folder)
        if sizes is not None:
            self._cut(sizes)
        self.writer = SummaryWriter(log_dir=folder, purge_step=None if until is None else until + 1)
        self._is_closed = False

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of each event file, by name."""
        self.writer.flush()
        return {file.name: file.stat().st_size for file in self._files()}

    def sync(self) -> None:
        """Wait until everything is on disk."""
        self.writer.flush()
        for file in self._files():
            sync(file)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("events.out.tfevents.*"))

    def _cut(self, sizes: dict[str, int]) -> None:
        for file in self._files():
            if file.name not in sizes:
                file.unlink()
            elif file.stat().st_size > sizes[file.name]:
                os.truncate(file, sizes[file.name])

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Write everything to the event file."""
        for key, value in key_values.items():
            if isinstance(value, Histogram):
                centres = (value.edges[:-1] + value.edges[1:]) / 2
                self.writer.add_histogram_raw(
                    key,
                    min=value.edges[0],
                    max=value.edges[-1],
                    num=value.counts.sum(),
                    sum=float(value.counts @ centres),
                    sum_squares=float(value.counts @ centres**2),
                    bucket_limits=value.edges[1:].tolist(),
                    bucket_counts=value.counts.tolist(),
                    global_step=step,
                )
        super().write(key_values, key_excluded, step)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(ONE_LINE)
    return value.item() if hasattr(value, "item") else value
