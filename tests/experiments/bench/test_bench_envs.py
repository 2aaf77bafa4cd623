"""``expirespan bench envs``: every environment is measured, in numbers that can be."""

import json
from pathlib import Path
from typing import Any

import pytest

from expirespan.envs import ENVIRONMENTS
from expirespan.experiments.bench.envs import REFERENCE
from expirespan.experiments.cli import main


def test_bench_envs(tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "envs.json"
    assert main(["bench", "envs", "--num-envs", "3", "--rounds", "1", "--output", str(output)]) == 0
    rows = json.loads(output.read_text())["rows"]
    variants = ("scalar", "vector of 3")
    assert [(row["env"], row["variant"]) for row in rows] == [
        (REFERENCE, "scalar"),
        *((name, variant) for name in ENVIRONMENTS for variant in variants),
    ]
    assert all(row["best"] >= row["median"] > 100 for row in rows)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ENVIRONMENTS)


@pytest.mark.parametrize("option", ["--num-envs", "--rounds"])
def test_wrong_numbers(option: str, capsys: Any) -> None:
    assert main(["bench", "envs", option, "0"]) == 2
    assert f"{option[2:].replace('-', '_')}=0: expected an integer >= 1" in capsys.readouterr().err
