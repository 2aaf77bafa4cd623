"""The driver by itself: an engine without processes makes the runs, fails and dies as it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep import driver as driving
from expirespan.experiments.sweep.driver import Driver
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.grid import Grid, Trial
from expirespan.experiments.sweep.plan import Plan, check_folder
from expirespan.experiments.sweep.results import comparisons, rows, table, write
from expirespan.experiments.sweep.trial_run import find_run


class Asked:
    requested = False


class Stage:
    """An engine whose jobs end as ``script`` says, by trial and attempt: done, fails, saves-and-fails, dies, hangs."""

    def __init__(
        self, trials: list[Trial], script: dict[int, list[str]], left: dict[str, str] | None = None
    ) -> None:
        self.trials = {trial.name: trial for trial in trials}
        self.script = {seed: list(acts) for seed, acts in script.items()}
        self.running: dict[str, str] = dict(left or {})
        self.started: list[tuple[int, str]] = []
        self.stopped: list[int] = []
        self.most = 0

    def submit(self, job: Job) -> None:
        trial = self.trials[job.name]
        acts = self.script.get(trial.seed, [])
        self.started.append((trial.seed, job.args[1]))
        self.running[job.name] = acts.pop(0) if acts else "done"
        self.most = max(self.most, len(self.running))

    def find(self, job: Job) -> bool:
        return job.name in self.running

    def poll(self, job: Job) -> Ended | None:
        act = self.running[job.name]
        if act == "hangs":
            return None
        del self.running[job.name]
        trial = self.trials[job.name]
        if act == "fails":
            job.log.write_text("all is well\nsomething broke\n")
            return Ended(3)
        run = find_run(trial) or Run.create(trial.config)
        if act in ("saves-and-fails", "dies", "stops"):
            step = len(run.step_checkpoints()) + 1
            (run.checkpoints / f"step-{step:010d}.zip").write_text("a checkpoint")
            return Ended({"saves-and-fails": 3, "dies": -9, "stops": 130}[act])
        run.progress.write_text(f"time/total_timesteps,time/time_elapsed\n1024,{1.5 * trial.seed}\n")
        run.add_evaluation(evaluation(trial.config.total_timesteps, 0.1 * trial.seed))
        return Ended(0 if act == "done" else None)

    def stop(self, job: Job) -> None:
        self.stopped.append(self.trials[job.name].seed)
        self.running[job.name] = "stops"


def evaluation(step: int, success: float) -> dict[str, Any]:
    return {"step": step, "success": success, "mean_return": success, "alive_at_end": [4.0, 6.0]}


@pytest.fixture
def sweep(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs trials of three seeds on a stage; returns the plan, the stage and what was said."""
    monkeypatch.setattr(driving, "PAUSE", 0.0)
    folder = tmp_path / "runs" / "s"
    folder.mkdir(parents=True)
    config = replace(tiny, runs=str(folder))
    trials = [
        Trial("tiny", (), seed, replace(config, seed=seed), ("train", "tiny", "--seed", str(seed)))
        for seed in range(3)
    ]

    def run(
        script: dict[int, list[str]], asked: Any = None, retries: int = 1, left: dict[str, str] | None = None
    ) -> Any:
        plan = Plan.open(folder, Grid(("tiny",), (0, 1, 2)), trials)
        stage, said = Stage(trials, script, left), list[str]()
        Driver(
            plan, stage, 2, retries, lambda: None, lambda e, what: said.append(f"{e.trial.seed} {what}")
        ).run(asked or Asked())
        return plan, stage, said

    return run


def statuses(plan: Plan) -> list[str]:
    stored = json.loads((plan.folder / "plan.json").read_text())
    found = [entry.status for entry in plan.entries]
    assert [entry["status"] for entry in stored["trials"]] == found, "what is in memory is in the file"
    return [str(status) for status in found]


def test_all_done_and_nothing_twice(sweep: Any) -> None:
    plan, stage, _ = sweep({})
    assert statuses(plan) == ["done"] * 3
    assert stage.most == 2 and stage.started == [(0, "tiny"), (1, "tiny"), (2, "tiny")]
    plan, stage, _ = sweep({})
    assert statuses(plan) == ["done"] * 3 and stage.started == []


def test_a_failed_trial_is_tried_again_and_its_error_shown(sweep: Any) -> None:
    plan, stage, said = sweep({1: ["fails"]})
    assert statuses(plan) == ["done"] * 3 and plan.entries[1].error == ""
    assert [seed for seed, _ in stage.started].count(1) == 2
    assert any(text.startswith("1 failed with exit code 3; it is tried again") for text in said)
    assert any("something broke" in text for text in said)


def test_a_trial_that_fails_again_and_again(sweep: Any) -> None:
    plan, stage, _ = sweep({1: ["fails"] * 9})
    assert statuses(plan) == ["done", "failed", "done"]
    assert [seed for seed, _ in stage.started].count(1) == 2
    assert plan.entries[1].error == "all is well\nsomething broke"
    plan, stage, _ = sweep({1: ["fails"]}, retries=0)
    assert statuses(plan)[1] == "failed" and stage.started == [(1, "tiny")], "the same command tries it again"
    plan, _, _ = sweep({})
    assert statuses(plan) == ["done"] * 3


def test_what_was_saved_goes_on_and_renews_the_attempts(sweep: Any) -> None:
    plan, stage, _ = sweep({2: ["dies", "saves-and-fails", "dies"]})
    assert statuses(plan) == ["done"] * 3
    assert [how for seed, how in stage.started if seed == 2] == ["tiny", "--resume", "--resume", "--resume"]


def test_jobs_of_an_earlier_driver_are_found(sweep: Any) -> None:
    plan, stage, said = sweep({}, left={"tiny-0": "done", "tiny-1": "gone"})
    assert statuses(plan) == ["done"] * 3
    assert [seed for seed, _ in stage.started] == [2]
    assert [text for text in said if "still runs" in text] == ["0 still runs", "1 still runs"]


def test_stopping(sweep: Any) -> None:
    class Soon:
        looks = 0

        @property
        def requested(self) -> bool:
            self.looks += 1
            return self.looks > 1

    plan, stage, said = sweep({0: ["hangs"], 1: ["hangs"]}, asked=Soon())
    assert statuses(plan) == ["stopped", "stopped", "waiting"] and stage.stopped == [0, 1]
    assert "0 stopped after 1 steps" in said
    plan, stage, _ = sweep({})
    assert statuses(plan) == ["done"] * 3
    assert stage.started == [(0, "--resume"), (1, "--resume"), (2, "tiny")]


def test_a_run_without_a_checkpoint_is_used_again(sweep: Any, tmp_path: Path, tiny: Config) -> None:
    empty = Run.create(replace(tiny, runs=str(tmp_path / "runs" / "s"), seed=1))
    Run.create(replace(tiny, runs=str(tmp_path / "runs" / "s"), seed=11))
    _, stage, _ = sweep({})
    assert stage.started == [(0, "tiny"), (1, "--resume"), (2, "tiny")]
    assert len(empty.evaluations()) == 1


def test_another_command_is_told_what_differs(sweep: Any) -> None:
    plan, _, _ = sweep({})
    check_folder(plan.folder, plan.asked)
    other = Grid(("tiny",), (0, 1), (("memory.ramp", ("4", "8")),))
    with pytest.raises(
        UserError, match=r"--seeds: 0 1 2 there, 0 1 here; --over: none there, memory.ramp 4 8 here"
    ):
        check_folder(plan.folder, other)
    (plan.folder / "plan.json").write_text("{")
    with pytest.raises(UserError, match="is no plan of a sweep"):
        check_folder(plan.folder, plan.asked)


def test_a_folder_that_is_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    with pytest.raises(UserError, match="exists and is no sweep"):
        check_folder(tmp_path / "mine", Grid(("corridor",), (0,)))


def test_the_table_by_hand(sweep: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan, _, _ = sweep({})
    head, row = table(rows(plan))
    assert head[3] == "success, interquartile mean"
    # scores 0, 0.1, 0.2; a quarter of three, rounded down, is none; seconds 0, 1.5, 3
    assert row == ("tiny", "-", "3", "0.100", "0.000 to 0.200", "0.000, 0.100, 0.200", "5.0", "-", "2")
    assert comparisons(plan) == [f"expirespan compare {plan.folder}"]
    paths = write(plan, rows(plan))
    numbers, page = json.loads(paths[0].read_text()), paths[1].read_text()
    assert [run["score"] for run in numbers["groups"][0]["runs"]] == [0.0, 0.1, 0.2]
    assert numbers["unfinished"] == [] and "| tiny | - | 3 | 0.100 |" in page


def test_the_table_without_some(sweep: Any) -> None:
    plan, _, _ = sweep({0: ["fails"] * 9, 1: ["fails"] * 9})
    assert table(rows(plan))[1][2:6] == ("1 of 3", "0.200", "-", "0.200")
    [command] = comparisons(plan)
    assert command.startswith(f"expirespan compare {plan.folder}/tiny/")
