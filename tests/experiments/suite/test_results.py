"""Results of a suite from runs whose evaluations were made up: the table, the curves and the picture by hand."""

from __future__ import annotations

import json
import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.pictures.suite import draw_suite
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.suite import references
from expirespan.experiments.suite.grid import SuiteGrid, suite_trials
from expirespan.experiments.suite.results import HEADINGS, lines, results, table, write
from expirespan.experiments.sweep import local
from expirespan.experiments.sweep.plan import Plan
from expirespan.experiments.training.history import seconds_at

GRID = SuiteGrid("own", ("corridor", "portal"), ("expire_span", "gru"), (0, 1), 1000)
SCORES = {  # success of corridors, return of portal rooms, after 500 and after 1,000 steps; seeds 0 and 1
    ("corridor", "expire_span"): ((0.2, 0.6), (0.4, 1.0)),
    ("corridor", "gru"): ((0.0, 0.2), (0.0, 0.2)),
    ("portal", "expire_span"): ((0.5, 2.5), (0.5, 4.5)),
    ("portal", "gru"): ((0.5, 0.5), (0.5, 0.5)),
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Chance is 0 and the best 1 in corridors, 0.5 and 4.5 in portal rooms."""
    stored = tmp_path / "references.json"
    stored.write_text(
        json.dumps({"corridor": {"chance": 0.0, "oracle": 1.0}, "portal": {"chance": 0.5, "oracle": 4.5}})
    )
    monkeypatch.setattr(references, "FILE", stored)
    folder = tmp_path / "suite-own"
    folder.mkdir()
    made = Plan.open(folder, GRID, suite_trials(GRID, folder))
    for entry in made.entries:
        named = dict(entry.trial.overrides)
        run = Run.create(entry.trial.config)
        run.progress.write_text("time/total_timesteps,time/time_elapsed\n500,10\n1000,30\n")
        for step, score in zip(
            (500, 1000), SCORES[named["task"], named["memory"]][entry.trial.seed], strict=True
        ):
            values = {"success": score, "mean_return": 0.0} if named["task"] == "corridor" else {
                "success": 0.0, "mean_return": score}  # fmt: skip
            alive = [step / 100, step / 50] if named["memory"] == "expire_span" else []
            run.add_evaluation({"step": step, **values, "alive": alive})
        entry.status = "done"
    return made


def test_the_table_by_hand(plan: Plan) -> None:
    head, *rows = table(results(plan, GRID))
    assert head == HEADINGS
    cells = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}
    assert list(cells)[:2] == [("expire_span", "all"), ("gru", "all")] and len(cells) == 6
    ours = cells["expire_span", "all"]  # normalised 0.6, 1 and 0.5, 1: the middle two are 0.6 and 1
    assert (ours["normalised IQM"], ours["normalised mean"]) == ("0.800", "0.775")
    assert (
        ours["95 % interval of the mean"] == "0.550 to 1.000"
    )  # of the worse seed of each task, and of the better
    assert (ours["runs"], ours["score"], ours["alive"], ours["steps"], ours["seconds"]) == (
        "4",
        "-",
        "15.0",
        "1,000",
        "30",
    )
    portal = cells["expire_span", "portal"]
    assert (portal["score"], portal["normalised mean"]) == ("3.500", "0.750")
    assert cells["gru", "all"]["normalised IQM"] == "0.100" and cells["gru", "all"]["alive"] == "-"
    assert cells["gru", "portal"]["95 % interval"] == "0.000 to 0.000"


def test_curves_by_hand(plan: Plan) -> None:
    ours, gru = lines(results(plan, GRID))
    assert ours.steps.tolist() == [500, 1000] and ours.seconds.tolist() == [10, 30]
    assert ours.alive is not None and ours.alive.tolist() == [7.5, 15.0] and gru.alive is None
    assert ours.score.value == pytest.approx([0.1, 0.8])  # at 500 steps 0.2, 0.4, 0, 0
    assert ours.score.low is not None and (ours.score.low <= ours.score.value).all()


def test_a_run_that_is_missing(plan: Plan) -> None:
    """A memory without a run on each task has no number over all tasks, and no line."""
    for entry in plan.entries[-2:]:
        shutil.rmtree(Path(entry.trial.config.runs), ignore_errors=True)
        entry.status = "waiting"
    found = results(plan, GRID)
    rows = {row[:2]: row[2:] for row in table(found)}
    assert rows["gru", "all"] == ("2 of 4", *["-"] * 8) == ("2 of 4", *rows["gru", "portal"][1:])
    assert rows["expire_span", "all"][:2] == ("4", "0.800")
    assert [line.memory for line in lines(found)] == ["expire_span"]
    assert "2 of 8 trials are not done" in write(plan, found)[1].read_text()


def test_what_is_written(plan: Plan) -> None:
    paths = write(plan, results(plan, GRID))
    assert [path.name for path in paths] == ["suite.json", "suite.md", "suite.png"]
    found: dict[str, Any] = json.loads(paths[0].read_text())
    assert len(found["runs"]) == 8 and found["references"]["portal"]["best"] == 4.5
    assert found["memories"]["expire_span"]["iqm"]["value"] == pytest.approx([0.8])
    page = paths[1].read_text()
    assert "| expire_span | all | 4 | 0.800 |" in page and "- corridor: 0 to 1 (our oracle)" in page
    assert "not done" not in page and found["command"].startswith(
        "expirespan suite own --tasks corridor portal "
    )


def test_the_picture_shows_every_memory(plan: Plan, tmp_path: Path) -> None:
    path = write_picture(draw_suite(lines(results(plan, GRID)), "a title"), tmp_path / "suite.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    text = path.read_text()
    for word in ("a title", "expire_span (2 runs a task)", "gru (2 runs a task)", "chance", "best possible"):
        assert f"<!-- {word} -->" in text


def test_seconds_go_on_when_a_run_is_resumed(plan: Plan) -> None:
    from expirespan.experiments.sweep.trial_run import find_run

    run = find_run(plan.entries[0].trial)
    assert run is not None
    run.progress.write_text(
        "time/total_timesteps,time/time_elapsed\n100,4\n200,8\n300,3\n400,\n400,6\n"  # resumed after step 200
    )
    assert seconds_at(run, [100, 150, 300, 400, 900]) == pytest.approx([4, 6, 11, 14, 14])


@pytest.mark.slow
def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained, and repeated: the same command has nothing left to do, and gives the same table."""
    monkeypatch.chdir(tmp_path)
    args = shlex.split("suite own --tasks tmaze --memories gru --seeds 0 --total-timesteps 640 --jobs 1")
    tiny = (
        "--num-envs 4 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 320 --evaluation.episodes 4 "
        "--evaluation.num-envs 4 --evaluation.no-what-if --memory.width 8 --wandb off --no-tensorboard"
    )
    assert main([*args, "--", *tiny.split()]) == 0
    first = capsys.readouterr().out
    assert "| gru | tmaze | 1 |" in first and "suite.png" in first
    monkeypatch.setattr(local, "CODE", "raise SystemExit('nothing should run')")
    assert main([*args, "--", *tiny.split()]) == 0
    again = capsys.readouterr().out
    assert first.splitlines()[-4:] == again.splitlines()[-4:] and "begins" not in again
    found = json.loads((tmp_path / "runs" / "suite-own" / "suite.json").read_text())
    assert found["runs"][0]["steps"] == [320, 640] and np.isfinite(found["runs"][0]["normalised"]).all()
