"""A run that is stopped at any of its writes, and resumed, leaves what one leaves that is not stopped."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from expirespan.experiments.run_folder.run import Run
from tests.experiments.reliability.facts import Facts, differences, facts
from tests.experiments.reliability.fault import KINDS
from tests.experiments.reliability.jobs import JOBS, Job, agent_config, quiet
from tests.experiments.reliability.stops import points, stop_and_resume

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of open files are read from /proc")


@pytest.fixture(scope="module", params=JOBS)
def job(request: pytest.FixtureRequest) -> Job:
    return JOBS[request.param]


@pytest.fixture
def whole(job: Job, tmp_path: Path) -> tuple[list[str], Facts]:
    """The writes of a run that was not stopped, and what it leaves."""
    return points(job, tmp_path / "whole"), facts(tmp_path / "whole")


def check(job: Job, folder: Path, expected: Facts, at: int, kind: str, then: int = 0) -> None:
    wrong = stop_and_resume(job, folder, at, kind, then)
    assert not wrong, f"{kind} at write {at}, then at {then}: {wrong}"
    found = differences(expected, facts(folder))
    assert not found, f"{kind} at write {at}, then at {then}: {found[:5]}"
    assert not list(folder.rglob(".*.tmp*")), f"{kind} at write {at}: half-written files stay"


def test_all_that_counts_is_compared(job: Job, whole: tuple[list[str], Facts]) -> None:
    writes, expected = whole
    assert len(writes) > 60
    files = {key.split()[0] for key in expected}
    names = {"progress.csv", "evaluations.jsonl", "config.yaml", "about.json", "tensorboard"}
    names |= {"checkpoints/best.zip", "pictures/retention.png"} if job.name == "train" else {"test.json"}
    assert names <= files
    assert any("weight" in key for key in expected) and any("#1" in key for key in expected)
    assert differences(expected, dict(expected)) == []
    assert differences(expected, expected | {"more": 1}) == ["more is too much"]


@pytest.mark.slow
def test_stopped_here_and_there(job: Job, whole: tuple[list[str], Facts], tmp_path: Path) -> None:
    """Ten places spread over the run; the first to resume is killed in every second."""
    writes, expected = whole
    draw = random.Random(len(writes))
    for i in range(10):
        at = 1 + (i * len(writes) + draw.randrange(len(writes))) // 10
        check(job, tmp_path / str(at), expected, at, KINDS[i % 3], draw.randrange(1, 40) * (i % 2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_every_write(job: Job, whole: tuple[list[str], Facts], tmp_path: Path, kind: str) -> None:
    writes, expected = whole
    for at in range(1, len(writes) + 1):
        check(job, tmp_path / str(at), expected, at, kind)


@pytest.mark.slow
def test_resuming_is_stopped_at_every_write(job: Job, whole: tuple[list[str], Facts], tmp_path: Path) -> None:
    """Of a run that was killed halfway, and of one that lacks only its last lines."""
    writes, expected = whole
    for at in (len(writes) // 2, len(writes) - 4):
        for then in range(1, len(writes) - at + 25):
            check(job, tmp_path / f"{at}-{then}", expected, at, "killed", then)


def test_a_finished_run_has_nothing_left_to_do(
    job: Job, whole: tuple[list[str], Facts], tmp_path: Path
) -> None:
    with quiet():
        job.resume(Run.open(next((tmp_path / "whole").glob("*/*"))))
    assert differences(whole[1], facts(tmp_path / "whole")) == []


def test_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from expirespan.experiments.cli import main

    with quiet():
        JOBS["train"].start(tmp_path / "train")
        JOBS["sequence"].start(tmp_path / "sequence")
    for command in JOBS:
        (run,) = (tmp_path / command).glob("*/*")
        assert main([command, "--resume", str(run)]) == 0
        assert "nothing is left to do" in capsys.readouterr().out
    assert agent_config(tmp_path).total_timesteps == 32
    (run,) = (tmp_path / "train").glob("*/*")
    assert main(["train", "--resume", str(run), "--total-timesteps", "48"]) == 0
    assert "ended" in capsys.readouterr().out
    assert Run.open(run).newest_checkpoint().name == "step-0000000048.zip"
