"""Tables and pictures of runs on one task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.sequence.results import main, read_results, table
from expirespan.experiments.settings.errors import UserError

SCORE: dict[str, Any] = {
    "accuracy": 0.75,
    "chance": 0.125,
    "bits": 1.5,
    "questions": 100,
    "alive": [10.4, 1200.0],
    "kept_bytes": 8 * 2**20,
    "interval": [0.657, 0.825],
    "parameters": 71178,
    "updates": 600,
    "settings": {"evaluation_rows": 4},
    "evaluations": [{"update": 300, "accuracy": 0.5, "bits": 2.0, "alive": [20.0, 1200.0]}],
}


def test_table_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """8 MiB of four rows are 2 MiB each."""
    (tmp_path / "one.json").write_text(json.dumps(SCORE))
    (tmp_path / "two.json").write_text(json.dumps(SCORE | {"alive": [], "chance": None}))
    rows = table(read_results(tmp_path)).splitlines()[2:]
    assert rows == [
        "| one | 71,178 | 600 | 0.750 (0.657-0.825) | 1.500 | 10 / 1,200 | 2.00 |",
        "| two | 71,178 | 600 | 0.750 (0.657-0.825) | 1.500 | - | 2.00 |",
    ]
    main([str(tmp_path), "--output", str(tmp_path / "curves.png")])
    assert rows[0] in capsys.readouterr().out
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no LABEL\.json: copy the test\.json"):
        read_results(tmp_path)
    (tmp_path / "one.json").write_text("[1")
    with pytest.raises(UserError, match=r"cannot read .*one\.json"):
        read_results(tmp_path)
    (tmp_path / "one.json").write_text(json.dumps(SCORE).replace('"bits"', '"nats"'))
    with pytest.raises(UserError, match="has no 'bits'"):
        read_results(tmp_path)
    with pytest.raises(SystemExit, match=r"error: .*has no 'bits'"):
        main([str(tmp_path)])
