"""Logs and settings of runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.config_file import to_yaml
from expirespan.experiments.tracking.log_files import CSVWriter, read_csv
from tests.experiments.files import damage
from tests.experiments.files.damage import Files
from tests.experiments.files.foreign import FOREIGN


def log_rows(which: int) -> list[dict[str, Any]]:
    return [
        {"time/total_timesteps": 512 * i, "loss": i / 7 + which, "note": f"row {i}, of 9"}
        for i in range(1, 9)
    ]


def csv_file(folder: Path, which: int) -> Path:
    writer = CSVWriter(folder / "progress.csv")
    for row in log_rows(which):
        writer.write(row, {})
    return folder / "progress.csv"


def read_csv_file(path: Path) -> Any:
    rows = read_csv(path)
    CSVWriter(path, 10**9)
    assert read_csv(path) == rows
    return rows


def of_logs(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    """What stops and disks do to lines; a log has no checksum, so single digits are not changed."""
    yield from damage.of_lines(content, draw, count, joined=content.startswith(b"{"))
    yield "empty", b""
    yield "zeros", bytes(5000)
    yield "a line of 3 MB", content + b"9" * 3_000_000 + b"\n"
    yield "nested", content + b"[" * 100_000 + b"\n"


def evaluations_file(folder: Path, which: int) -> Path:
    for row in range(1, 9):
        score = {"success": (row + which) / 10, "mean_return": float(row), "alive_at_end": [2.0, 3.0]}
        Run(folder).add_evaluation({"step": 512 * row, **score})
    return folder / "evaluations.jsonl"


def read_evaluations(path: Path) -> Any:
    path.rename(path.with_name("evaluations.jsonl"))
    try:
        Run(path.parent).drop_evaluations(10**9) if hasattr(Run, "drop_evaluations") else None
        return Run(path.parent).evaluations()
    finally:
        path.with_name("evaluations.jsonl").rename(path)


def settings_file(folder: Path, which: int) -> Path:
    (folder / "config.yaml").write_text(to_yaml(Config(seed=which)))
    return folder / "config.yaml"


def of_settings(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from damage.of_bytes(content, draw, count)
    yield from damage.of_lines(content, draw, count // 2)
    yield from ((f"foreign file {i}", file) for i, file in enumerate(FOREIGN))
    yield "20 MB", b"seed: 0\n# " + b"x" * 20_000_000
    yield "deep", b"recipe: " + b"[" * 20_000 + b"]" * 20_000
    yield "deep maps", b"".join(b" " * i + b"a:\n" for i in range(1500))
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    yield "anchors", b"a0: &a0 [x, x]\n" + levels.encode() + b"seed: *a11\n"
    merges = "".join(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
    yield "merges", b"b0: &b0 {x: 1}\n" + merges.encode()
    yield "itself", b"seed: &a [*a]\n"
    yield "twice", content + b"seed: 5\n"
    yield "nan", content.replace(b"standardize:", b"standardize: .nan #", 1)
    yield "long number", b"seed: " + b"9" * 50_000 + b"\n"
    yield "long name", b"x" * 90_000 + b": 1\n"
    yield "tag", b"seed: !!python/object/apply:os.system ['true']\n"
