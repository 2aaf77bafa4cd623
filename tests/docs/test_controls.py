"""The study of controls: step sizes are chosen by the search alone, and the table says what the runs reached."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from expirespan.experiments.suite.grid import SuiteGrid, suite_trials

FOLDER = Path(__file__).parents[2] / "docs/results/controls"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def controls() -> ModuleType:
    return script("controls")


def row(memory: str, seed: int, short: float, long: float) -> dict[str, Any]:
    scored = {
        "3 corridors": {"success": short, "mean_return": 9.0, "alive": [4.0, 6.0]},
        "10 corridors": {"success": long, "mean_return": 9.0, "alive": [5.0, 6.0]},
    }
    alive = None if memory == "gru" else [30.0, 5.0]
    return {
        "memory": memory, "seed": seed, "factor": 2.0, "steps": [500_000, 1_000_000], "scores": [0.0, short],
        "alive": alive, "normalised": [0.0, short], "seconds": [10.0, 20.0 + seed], "measures": scored,
    }  # fmt: skip


NUMBERS = {
    "steps": 1000,
    "chosen": {"expire_span": 2.0, "gru": 2.0, "lstm": 1.0},
    "rows": [row("expire_span", 0, 1.0, 0.5), row("expire_span", 1, 0.5, 0.0), row("gru", 0, 1.0, 1.0)],
}


def test_the_largest_area_is_chosen_and_the_recipes_step_size_of_equal_ones(controls: ModuleType) -> None:
    assert controls.choose({"0.5": 0.9, "1": 0.8, "2": 0.7}) == 0.5
    assert controls.choose({"0.5": 0.9, "1": 0.9, "2": 0.9}) == 1.0
    assert controls.choose({}) == 1.0


def test_the_search_has_a_seed_of_its_own(controls: ModuleType) -> None:
    assert all(controls.SEARCH_SEED not in study.seeds for study in controls.STUDIES.values())


def test_every_memory_of_every_study_fits_its_task(controls: ModuleType, tmp_path: Path) -> None:
    for study in controls.STUDIES.values():
        grid = SuiteGrid("own", (study.task,), study.memories, (0,), 1000)
        assert len(suite_trials(grid, tmp_path)) == len(study.memories)


def test_the_table_by_hand(controls: ModuleType, tmp_path: Path) -> None:
    head, ours, gru = controls.table("tmaze", NUMBERS)
    measures = [f"{n} corridors: mean (95 %); each seed" for n in (3, 10)]
    assert head == ("memory", "step size", *measures, "alive per layer, mean", "solved at", "seconds")  # fmt: skip
    assert ours == (
        *(
            "`expire_span`",
            "x 2",
            "0.750 (0.500 to 1.000); 1.000, 0.500",
            "0.250 (0.000 to 0.500); 0.500, 0.000",
        ),
        *("5.0", "- (1 of 2)", "20"),
    )
    assert gru == ("`gru`", "x 2", "1.000", "1.000", "-", "1.00 M", "20")
    (tmp_path / "tmaze.json").write_text(json.dumps(NUMBERS))
    page = controls.with_tables("a\n<!-- controls: tmaze -->\nold\n<!-- end -->\nb\n", tmp_path)
    assert "old" not in page and "| `gru` | x 2 |" in page and page.endswith("<!-- end -->\nb\n")


def test_the_picture_has_a_line_for_each_memory(
    controls: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "IMAGES", tmp_path)
    assert controls.picture("tmaze", NUMBERS).stat().st_size > 10_000


def test_the_pages_tables_are_those_of_the_results(controls: ModuleType) -> None:
    page = controls.PAGE.read_text(encoding="utf-8")
    assert controls.with_tables(page) == page


def test_sizes_are_those_at_the_end_of_the_longest_episodes(tmp_path: Path) -> None:
    def of(memory: str, score: float, ends: list[float] | None) -> dict[str, Any]:
        measured = {"3-200 cells": {"success": score, "alive_at_end": ends}}
        return {"memory": memory, "steps": [100], "measures": measured}

    ours = [
        of("expire_span", 1.0, [9.0, 10.0]),
        of("expire_span", 0.5, [8.0, 9.0]),
        *[of("gru", 0.5, None)] * 2,
    ]
    (tmp_path / "corridor.json").write_text(json.dumps({"rows": [*ours, of("keep_all", 1.0, [200.0])]}))
    (tmp_path / "windows.json").write_text(json.dumps({"rows": [of("fixed_window:4", 0.2, [4.0])] * 2}))
    window, expire, gru = script("sizes").sizes(tmp_path).groups
    assert (window.memory, window.alive, window.mean) == ("fixed_window", 4.0, 0.2)
    assert (expire.label, expire.alive, expire.scores) == ("Expire-Span", 9.0, [1.0, 0.5])
    assert (gru.label, gru.alive) == ("GRU", None)


def test_what_carries_over_has_a_dot_for_each_seed(tmp_path: Path) -> None:
    for study, measure in (("tmaze", "10 corridors"), ("corridor", "10,000 cells")):
        rows = [{"memory": "gru", "measures": {measure: {"success": score}}} for score in (0.25, 0.75)]
        (tmp_path / f"{study}.json").write_text(
            json.dumps({"rows": rows, "chosen": {"gru": 1.0, "lstm": 1.0}})
        )
    for axes in script("carry").draw(tmp_path).axes:
        gru, lstm = axes.lines[1:]
        assert list(gru.get_xdata()) == [0.25, 0.75] and len(lstm.get_xdata()) == 0
        assert [text.get_text() for text in axes.get_yticklabels()] == ["gru", "lstm"]


def test_a_study_goes_on_with_what_its_file_lacks(
    controls: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def suite(name: str, memories: list[str], seed: int, factor: float, given: Any) -> Any:
        asked.append((seed, list(memories)))
        runs = [{"memory": memory, "seed": seed, "scores": [factor], "run": "r"} for memory in memories]
        return {"runs": runs}

    monkeypatch.setattr(controls, "suite", suite)
    monkeypatch.setattr(controls, "score", lambda name, run: {"found": run["seed"]})
    given = argparse.Namespace(output=tmp_path, runs=tmp_path, jobs=2, steps=0)
    controls.study("windows", given)
    file = tmp_path / "windows.json"
    memories, seeds = controls.STUDIES["windows"].memories, controls.STUDIES["windows"].seeds
    assert asked == [(seed, list(memories)) for seed in seeds]
    whole = file.read_text()
    asked.clear()
    controls.study("windows", given)
    assert not asked and file.read_text() == whole, "with the provenance of the runs"
    numbers = json.loads(whole)
    numbers["rows"] = [row for row in numbers["rows"] if (row["memory"], row["seed"]) != (memories[1], 2)]
    file.write_text(json.dumps(numbers))
    controls.study("windows", given)
    assert asked == [(2, [memories[1]])]
    assert json.loads(file.read_text())["rows"] == json.loads(whole)["rows"]
    with pytest.raises(SystemExit, match="has runs of 2,000,000 steps"):
        controls.study("windows", argparse.Namespace(**{**vars(given), "steps": 5}))
