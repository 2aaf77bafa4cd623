"""What a sweep shows: a line per trial on a terminal, as many as fit; plain lines in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.sweep.display import Display, score_words
from expirespan.experiments.sweep.grid import Grid, Trial
from expirespan.experiments.sweep.plan import Plan

EVALUATION = {"step": 512, "success": 0.75, "mean_return": 0.5, "alive_at_end": [4.0, 6.4]}


@pytest.fixture
def plan(tiny: Config, tmp_path: Path) -> Plan:
    """Seed 0 is done, 1 runs, 2 has failed once and runs again, 3 waits."""
    folder = tmp_path / "s"
    folder.mkdir()
    trials = [
        Trial("tiny", (("memory.ramp", "4"),), seed, replace(tiny, runs=str(folder), seed=seed), ())
        for seed in range(4)
    ]
    made = Plan.open(folder, Grid(("tiny",), (0, 1, 2, 3)), trials)
    for entry, status in zip(made.entries, ("done", "running", "running", "waiting"), strict=True):
        entry.status = status  # type: ignore[assignment]
    made.entries[2].failures = 1
    for trial, step in ((trials[0], 1024), (trials[1], 512)):
        run = Run.create(trial.config)
        run.progress.write_text(f"time/total_timesteps\n{step}\n")
        run.add_evaluation(EVALUATION | {"step": step})
    return made


def lines(display: Display, height: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=height, color_system=None)
    display._console = console
    console.print(display.table())
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_for_each_trial(plan: Plan) -> None:
    display = Display(plan)
    display.update()
    head, *rows, caption = lines(display, 24)
    assert head.split() == ["recipe", "settings", "seed", "state", "steps", "last", "evaluation"]
    assert len(rows) == 4
    for row, words in zip(
        rows,
        (
            ("0.00 M", "success 0.75, 6 alive", "done"),
            ("success 0.75, 6 alive", "running"),
            ("running, attempt 2",),
            ("waiting",),
        ),
        strict=True,
    ):
        assert row.startswith("tiny") and "memory.ramp=4" in row
        assert all(word in row for word in words), row
    assert [row.count("█") for row in rows] == [12, 6, 0, 0], "512 of 1,024 steps are half of 12"
    assert [row.count("█") + row.count("░") for row in rows] == [12] * 4
    assert caption.strip() == "4 trials: 1 done, 2 running, 1 waiting"


def test_more_trials_than_lines(plan: Plan) -> None:
    display = Display(plan)
    display.update()
    _, first, second, more, _ = lines(display, 7)
    assert "running" in first and "running" in second, "those that run come first"
    assert more.split() == ["...", "2", "more"]


def test_plain_lines(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(plan)
    with display.showing():
        display.update()
        display.update()
        display.say(plan.entries[2], "failed with exit code 3\nthe error")
    assert capsys.readouterr().out.splitlines() == [
        "tiny memory.ramp=4 seed 1: success 0.75, 6 alive after 512 steps",
        "tiny memory.ramp=4 seed 2: failed with exit code 3",
        "  the error",
    ]


def test_scores_in_words() -> None:
    assert score_words(EVALUATION | {"success": None, "alive_at_end": None}) == "return 0.50"
