"""Reading of ``evaluations.jsonl``: one evaluation a line, those that are damaged left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from expirespan.experiments.settings import texts
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.terminal.text import warn

_warned: set[tuple[str, int]] = set()


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations, in order; none if there is no file. Says once how many lines are damaged.

    Raises:
        UserError: the file cannot be read, or is larger than any log.
    """
    if not path.exists():
        return []
    try:
        with path.open("rb") as file:
            content = file.read(texts.MOST_LOG + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > texts.MOST_LOG:
        raise UserError(f"{path} has more than {texts.MOST_LOG:,} bytes, which no such file has; remove it")
    found, damaged = [], 0
    for line in content.split(b"\n"):
        if line.strip():
            entry = _entry(line)
            found += [] if entry is None else [entry]
            damaged += entry is None
    if damaged and (str(path), damaged) not in _warned:
        _warned.add((str(path), damaged))
        warn(f"{path}: {damaged} of {damaged + len(found)} lines are damaged and left out")
    return found


def _entry(line: bytes) -> dict[str, Any] | None:
    """The evaluation in a line; None if it is none."""
    try:
        entry = texts.parse_json(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    if "step" not in entry and "timesteps" in entry:  # as runs on sequence tasks had it once
        entry["step"] = entry.pop("timesteps")
    step = entry.get("step")
    return entry if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None
