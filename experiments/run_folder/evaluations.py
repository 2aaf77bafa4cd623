"""Reading of ``evaluations.jsonl``: one evaluation a line, those that are damaged left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expirespan.experiments.settings import texts
from expirespan.experiments.terminal.text import warn
from expirespan.quoting import shown

_warned: set[tuple[str, int]] = set()


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations, in order; none if there is no file. Says once how many lines are damaged.

    Raises:
        UserError: the file cannot be read, or is larger than any log.
    """
    if not path.exists():
        return []
    content = texts.read_bytes(path, texts.MOST_LOG, "remove it")
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
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        return None
    if "accuracy" in entry:  # of a sequence task; NaN where nothing was asked
        numbers = [entry["accuracy"], entry.get("bits")]
        return entry if all(isinstance(n, float | int) for n in numbers) else None
    return None if fault_of_score(entry) else entry


def score_of(entry: Mapping[str, Any], measure: str) -> float:
    """The ``success`` or ``mean_return`` of an evaluation; no success is 0: it is None where no episode ended."""
    return float(entry[measure] or 0.0)


def fault_of_score(entry: Any) -> str:
    """What is wrong with an evaluation of an agent; nothing if its numbers are as `Score` has them."""
    if not isinstance(entry, dict):
        return f"{shown(entry)}, expected scores by name"
    if missing := [name for name in ("success", "mean_return") if name not in entry]:
        return f"it has no {missing[0]}"
    if entry["success"] is not None and not texts.is_number(entry["success"], 0, 1):
        return f"success={shown(entry['success'])}, expected a share from 0 to 1"
    if not texts.is_number(entry["mean_return"]):
        return f"mean_return={shown(entry['mean_return'])}, expected a finite number"
    alive = entry.setdefault("alive_at_end", None)
    if alive is not None and not (isinstance(alive, list) and all(texts.is_number(n, 0) for n in alive)):
        return f"alive_at_end={shown(alive)}, expected counts, one for each layer"
    retention = entry.get("retention")
    if retention is not None and not isinstance(retention, dict):
        return f"retention={shown(retention)}, expected values by name"
    recall = (retention or {}).get("recall")
    return (
        "" if recall is None or texts.is_number(recall, 0, 1) else f"recall={shown(recall)}, expected a share"
    )
