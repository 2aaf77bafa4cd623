"""A logger: every row of the logs as one line of JSON in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter


class JSONLines(KVWriter):
    """Writes ``rows.jsonl``. ``until``: of a resumed run, the step it goes on after; later rows are dropped."""

    def __init__(self, folder: Path, until: int | None = None) -> None:
        path = folder / "rows.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() and until is not None else []
        kept = [line for line in lines if until is not None and json.loads(line)["step"] <= until]
        self.file = path.open("w", encoding="utf-8")
        self.file.writelines(f"{line}\n" for line in kept)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Append the numbers among the values; pictures and histograms are left out."""
        scalars = {key: value for key, value in key_values.items() if np.isscalar(value)}
        numbers = {key: float(value) for key, value in scalars.items() if not isinstance(value, str)}
        self.file.write(json.dumps({"step": step, **numbers}) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
