"""The search, with an engine without processes: whatever is killed in between, it chooses by scores alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import ExpireSpanSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep import driver as driving
from expirespan.experiments.sweep.driver import Driver
from expirespan.experiments.sweep.engine import Ended, Job
from expirespan.experiments.sweep.grid import Grid, Overrides, Trial, trials_of
from expirespan.experiments.sweep.plan import Plan
from expirespan.experiments.sweep.search import AHEAD, JOURNAL, Search, check_search, distribution

GRID = Grid(("corridor",), (0, 1), (("memory.ramp", ("4:40",)), ("memory", ("expire_span", "adaptive_span"))), (
    "--forgetting", "none", "--penalty", "constant", "--total-timesteps", "640"), search=12)  # fmt: skip


class Killed(Exception):  # noqa: N818  (the driver is gone)
    pass


class Stage:
    """Makes each run at once, with a score that is highest at ramp 20; dies after so many."""

    def __init__(self, search: Search, dies: int = 10**6) -> None:
        self.search, self.left, self.most = search, dies, 0
        self.running: list[str] = []

    def submit(self, job: Job) -> None:
        self.running.append(job.name)
        self.most = max(self.most, len({name.rpartition("-")[0] for name in self.running}))
        if len(self.running) == 2 * AHEAD:  # all that may be chosen are in training at the same time
            assert len({name.rpartition("-")[0] for name in self.running}) == AHEAD

    def find(self, job: Job) -> bool:
        return False

    def poll(self, job: Job) -> Ended | None:
        self.left -= 1
        if self.left < 0:
            raise Killed
        self.running.remove(job.name)
        trial = next(entry.trial for entry in self.search.plan.entries if entry.trial.name == job.name)
        if score(trial) is None:
            return Ended(2)
        run = Run.create(trial.config)
        run.progress.write_text("time/total_timesteps,time/time_elapsed\n640,1\n")
        run.add_evaluation({"step": 640, "success": score(trial), "mean_return": 0.0, "alive_at_end": [4.0]})
        return Ended(0)

    def stop(self, job: Job) -> None:
        raise AssertionError("nobody asked for it")


def score(trial: Trial) -> float | None:
    memory = trial.config.memory
    ramp = getattr(memory, "ramp", 0.0)
    if ramp < 7:
        return None
    better = isinstance(memory, ExpireSpanSettings)
    return max(0.0, 0.9 - abs(ramp - 20) / 40 - (0 if better else 0.3)) + 0.01 * trial.config.seed


class Asked:
    requested = False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "PAUSE", 0.0)


def run(folder: Path, grid: Grid = GRID, dies: int = 10**6, jobs: int = 100) -> Search:
    folder.mkdir(parents=True, exist_ok=True)
    search = Search.open(grid, folder)
    stage = Stage(search, dies)
    driver = Driver(search.plan, stage, jobs, 0, lambda: None, lambda entry, what: None, search.more)
    driver.run(Asked())
    assert stage.most <= AHEAD
    return search


def told(search: Search) -> list[tuple[Overrides, float | None]]:
    return [(search.chosen[one.number], one.value) for one in search.study.trials]


def test_it_finds_the_better_settings_and_says_so(tmp_path: Path) -> None:
    search = run(tmp_path / "s")
    assert len(search.chosen) == len(set(search.chosen)) == GRID.search
    assert len(search.plan.entries) == 2 * GRID.search
    said = search.best()
    scores = {one: value for one, value in told(search) if value is not None}
    best = max(scores, key=scores.__getitem__)
    assert f"memory.ramp={dict(best)['memory.ramp']}, memory=expire_span; score {scores[best]:.3f}" in said
    by_hand = 0.9 - abs(int(dict(best)["memory.ramp"]) - 20) / 40 + 0.005  # mean of two seeds
    assert scores[best] == pytest.approx(by_hand)


@pytest.mark.slow
@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.integers(1, 5))
@settings(max_examples=3, deadline=None)
def test_killed_anywhere_it_chooses_the_same(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], jobs: int
) -> None:
    folder = tmp_path_factory.mktemp("search")
    grid = replace(GRID, search=8)
    whole = run(folder / "whole" / "s", grid)
    whole.best()
    for dies in kills:
        try:
            run(folder / "killed" / "s", grid, dies, jobs)
        except Killed:
            (folder / "killed" / "s" / f"{JOURNAL}.lock").touch()  # as if it had held the journal's lock
    other = run(folder / "killed" / "s", grid, jobs=jobs)
    other.best()
    assert other.chosen == whole.chosen and told(other) == told(whole)


def test_the_journal_can_be_read_by_others(tmp_path: Path) -> None:
    search = run(tmp_path / "s", replace(GRID, search=5))
    search.best()
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / JOURNAL))
    study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    assert [one.value for one in study.trials] == [value for _, value in told(search)]
    assert {key for one in study.trials for key in one.params} == {"memory.ramp", "memory"}


def test_few_settings_are_all_tried_once(tmp_path: Path) -> None:
    grid = replace(GRID, over=(("memory.ramp", ("8", "16", "20")),), search=9)
    search = run(tmp_path / "s", grid)
    assert sorted(dict(one)["memory.ramp"] for one in search.chosen) == ["16", "20", "8"]
    search._choose = lambda number: pytest.fail("nothing is left to draw")  # type: ignore[method-assign]
    assert search.more() == []


def test_ranges_by_hand() -> None:
    assert distribution("k", ("4:8",)) == IntDistribution(4, 8)
    assert distribution("k", ("4:64",)) == IntDistribution(4, 64, log=True)
    assert distribution("k", ("1e-4:1e-2",)) == FloatDistribution(1e-4, 1e-2, log=True)
    assert distribution("k", ("0:0.5",)) == FloatDistribution(0.0, 0.5)
    assert distribution("k", ("4", "8")) == CategoricalDistribution(("4", "8"))
    assert distribution("k", ("module:Env-v0",)) == CategoricalDistribution(("module:Env-v0",))
    with pytest.raises(UserError, match="LOW below HIGH"):
        distribution("k", ("8:8",))


def test_both_ends_are_checked_before_anything_runs(tmp_path: Path) -> None:
    ends = check_search(GRID, tmp_path, "local")
    assert {getattr(trial.config.memory, "ramp", None) for trial in ends} == {4.0, 40.0}
    assert {trial.config.memory.name for trial in ends} == {"expire_span", "adaptive_span"}
    with pytest.raises(UserError, match="use --engine local or submitit"):
        check_search(GRID, tmp_path, "ray")
    with pytest.raises(UserError, match="one recipe"):
        check_search(replace(GRID, recipes=("corridor", "tmaze")), tmp_path, "local")


def test_more_trials_join_a_plan(tmp_path: Path) -> None:
    plan = Plan.open(tmp_path, GRID, [])

    def made(ramp: str) -> list[Trial]:
        return trials_of(GRID, "corridor", (("memory.ramp", ramp),), tmp_path)

    plan.add(made("8"))
    plan.entries[0].status = "done"
    plan.add(made("9"))
    again = Plan.open(tmp_path, GRID, [*made("8"), *made("9")])
    assert [entry.status for entry in again.entries] == ["done", "waiting", "waiting", "waiting"]
