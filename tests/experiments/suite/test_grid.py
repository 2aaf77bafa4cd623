"""The suites as data: every task and memory parses, budgets are equal, what is wrong is one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from expirespan.envs import ENVIRONMENTS
from expirespan.experiments.cli import main
from expirespan.experiments.settings import KINDS, CompressiveSettings, FixedWindowSettings
from expirespan.experiments.suite.grid import SuiteGrid, suite_trials
from expirespan.experiments.suite.memories import CONTROLS, GTRXL, KEEP_ALL, NAMES
from expirespan.experiments.suite.references import FILE, Reference, measure, reference
from expirespan.experiments.suite.tasks import SUITES
from expirespan.experiments.sweep.grid import Trial

ALL = {name: tuple(task.name for task in suite.tasks) for name, suite in SUITES.items()}


def trials(
    suite: str, folder: Path, memories: tuple[str, ...] = NAMES, more: tuple[str, ...] = ()
) -> list[Trial]:
    return suite_trials(SuiteGrid(suite, ALL[suite], memories, (0,), 5000, more), folder)


@pytest.mark.parametrize("suite", SUITES)
def test_every_task_with_every_memory(suite: str, tmp_path: Path) -> None:
    memories = (
        NAMES if suite == "own" else ("expire_span", KEEP_ALL)
    )  # all others use one recipe, tried by the first
    found = trials(suite, tmp_path, memories)
    assert len({trial.name for trial in found}) == len(ALL[suite]) * len(memories)
    assert len({trial.config.runs for trial in found}) == len(ALL[suite]) * len(memories)
    for trial in found:
        config, named = trial.config, dict(trial.overrides)
        assert config.memory.name == CONTROLS.get(named["memory"], (named["memory"],))[0]
        assert (config.total_timesteps, config.evaluation.every) == (5000, 500)
        assert (config.target.success, config.target.mean_return, config.target.alive) == (None, None, None)
        assert named["memory"] == "expire_span" or config.forgetting.name == "none"
    assert set(NAMES) == {*KINDS["memory"], KEEP_ALL, GTRXL}


def test_all_memories_reach_equally_far(tmp_path: Path) -> None:
    corridor = {
        dict(trial.overrides)["memory"]: trial.config.memory
        for trial in trials("own", tmp_path)
        if trial.recipe == "corridor"
    }
    assert {getattr(corridor[name], "max_span", 512) for name in corridor} == {512}
    window, compressive, everything = (corridor[name] for name in ("fixed_window", "compressive", KEEP_ALL))
    assert isinstance(window, FixedWindowSettings) and window.window == 512
    assert isinstance(compressive, CompressiveSettings)
    assert compressive.window + compressive.slots * compressive.factor == 512
    assert isinstance(everything, FixedWindowSettings) and everything.window == float("inf")
    gated = corridor[GTRXL]
    assert isinstance(gated, FixedWindowSettings) and (gated.window, gated.gate) == (512, "gru")
    assert getattr(corridor["gru"], "chrono", None) == getattr(corridor["lstm"], "chrono", None) == 512


def test_a_memory_with_a_reach_of_its_own(tmp_path: Path) -> None:
    memories = ("fixed_window", "fixed_window:24", "gtrxl:9", "expire_span:100", "lstm:7")
    found = [one.config.memory for one in trials("own", tmp_path, memories) if one.recipe == "corridor"]
    reaches = [getattr(m, "window", getattr(m, "max_span", getattr(m, "chrono", None))) for m in found]
    assert reaches == [512, 24, 9, 100, 7]


def test_options_after_the_dashes_come_last(tmp_path: Path) -> None:
    one = trials("own", tmp_path, ("gru",), ("--memory.width", "16", "--total-timesteps", "640"))[0]
    assert getattr(one.config.memory, "width", None) == 16 and one.config.total_timesteps == 640


def test_every_task_has_a_reference() -> None:
    stored = json.loads(FILE.read_text())
    tasks = [task for suite in SUITES.values() for task in suite.tasks]
    assert stored.keys() == {task.name for task in tasks} and len(tasks) == len(stored)
    for task in tasks:
        found = reference(task)
        assert found.chance < found.best and found.source
        assert stored[task.name]["command"].startswith("python -m expirespan.experiments.suite.references ")


def test_the_stored_references_are_what_is_measured() -> None:
    task = next(task for task in SUITES["own"].tasks if task.name == "tmaze")
    found, stored = measure(task), json.loads(FILE.read_text())["tmaze"]
    assert {name: stored[name] for name in found} == found
    assert found["oracle"] == 1.0 == ENVIRONMENTS["ExpireSpan/EndlessTMaze-v0"].optimum / 3


def test_normalised_by_hand() -> None:
    by = Reference(chance=-0.5, best=1.0, source="")
    assert [by.normalised(score) for score in (-0.5, 0.25, 1.0, -2.0)] == [0.0, 0.5, 1.0, -1.0]


WRONG = {
    "mine": "unknown suite 'mine': ",
    "ownn": "did you mean 'own'?",
    "--seeds 0:2 own": "'--seeds' is no suite",
    "own --tasks corridr": "unknown task of the suite own 'corridr': did you mean 'corridor'?",
    "own --memories lstm transformer": "unknown memory 'transformer': ",
    "own --memories lstm lstm": "memory 'lstm' is there twice",
    "own --memories fixed_window:x": "'fixed_window:x': expected a whole number of steps >= 1",
    "own --memories gtrxl:0": "'gtrxl:0': expected a whole number of steps >= 1",
    "own --memories keep_all:9": "keep_all has no reach that could be set",
    "own --tasks tmaze tmaze": "task 'tmaze' is there twice",
    "own --seeds x": "seeds='x': expected numbers",
    "own --total-timesteps many": "total-timesteps",
    "own --engine cloud": "unknown engine 'cloud': expected one of local, ray, submitit",
    "own --prune": "unequal budgets",
    "own --name a/b": "expected a name without /",
    "own --tasks tmaze -- --memory.widht 8": "unknown option '--memory.widht'",
    "own --tasks tmaze -- --seed 8": "--seed after --: the suite sets it itself; --seeds gives the seeds",
    "own --tasks tmaze -- --recipe mine": "--recipe after --: the suite sets it itself",
    "own --tasks tmaze -- --memory=gru": "--memory after --: the suite sets it itself",
    "own --tasks tmaze -- --help": "--help after --",
    "popgym-easy --tasks RepeatFirstEasy": "pip install popgym",
    "memory-gym --tasks MortarMayhem": "pip install --no-deps memory-gym",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_does_not_fit_is_one_sentence(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for package in ("popgym", "memory_gym"):  # as where they are not installed
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["suite", *line.split()]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("expirespan: error: ") and output.err.count("\n") == 1, output.err
    assert WRONG[line] in output.err
    assert not output.out and not list(tmp_path.iterdir())
