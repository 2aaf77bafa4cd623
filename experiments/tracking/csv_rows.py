"""Reading of ``progress.csv``: whole rows; a row that is cut off or damaged is left out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from expirespan.experiments.settings.texts import MOST_LOG, read_bytes
from expirespan.experiments.terminal.text import warn


class Table(NamedTuple):
    """Rows by column, an empty text where a row has no value; ``damaged``: how many lines are left out."""

    columns: list[str]
    rows: list[dict[str, str]]
    damaged: int


def read_table(path: Path, step: str) -> Table:
    """The whole rows of a table; says how many are damaged.

    A whole row has a value for each column and a whole number in column ``step``, and ends with its line. If the first
    line, which names the columns, is damaged, no row can be read.

    Raises:
        UserError: the file cannot be read, or is larger than any log.
    """
    content = read_bytes(path, MOST_LOG, "remove it")
    if content in (b"\n", b"\r\n"):  # of a run that ended before its first row
        return Table([], [], 0)
    first, *lines = content.split(b"\n") if content else [b""]
    columns = _values(first) or []
    if content and (not lines or step not in columns or len(set(columns)) != len(columns)):
        warn(f"{path}: its first line does not name the columns, so that none of its rows can be read")
        return Table([], [], 1 + len(lines))
    rows = []
    for line in lines[:-1]:
        values = _values(line)
        if values is not None and len(values) == len(columns):
            rows.append(dict(zip(columns, values, strict=True)))
            if not _is_count(rows[-1][step]):
                rows.pop()
    damaged = len(lines[:-1]) - len(rows) + bool(lines and lines[-1])
    if damaged:
        warn(f"{path}: {damaged} of {damaged + len(rows)} rows are damaged and left out")
    return Table(columns, rows, damaged)


def _values(line: bytes) -> list[str] | None:
    """The values of a line; None if it is no line of a table."""
    try:
        records = list(csv.reader([line.decode("utf-8")], strict=True))
    except (csv.Error, UnicodeDecodeError):
        return None
    return records[0] if len(records) == 1 and "\0" not in "".join(records[0]) else None


def _is_count(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit() and len(text) < 19)
