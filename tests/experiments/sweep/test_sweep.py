"""Sweeps of tiny runs from the command line: killed, stopped and repeated, they end in the same table."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.cli import main
from tests.experiments.sweep import sweeps
from tests.experiments.sweep.sweeps import TRIALS, numbers, pid, wait_for

TINY = shlex.split(
    "--num-envs 4 --total-timesteps 640 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 128 "
    "--evaluation.episodes 8 --evaluation.num-envs 4 --memory.width 16 --env.max-length 4 --wandb off --no-tensorboard"
)
SWEEP = ["sweep", "corridor", "--seeds", "0:2", "--name", "s", "--jobs", "2", "--retries", "9", "--", *TINY]
TIMED = ("steps_per_second", "step_times")
PATIENCE = 600
"""Seconds after which a test gives up waiting; a free core needs a tenth."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert driver(folder).wait(PATIENCE) == 0
    return folder


def driver(folder: Path, args: list[str] = SWEEP) -> subprocess.Popen[bytes]:
    """A driver in a process beside the test."""
    return sweeps.driver(folder, args)


def logged(folder: Path) -> list[Any]:
    """Evaluations of all runs, without times."""
    files = sorted(
        (folder / "runs" / "s" / "corridor").glob("*/evaluations.jsonl"), key=lambda f: f.parent.name[-1]
    )
    rows = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return [[{k: v for k, v in row.items() if k not in TIMED} for row in one] for one in rows]


def checkpoint(folder: Path, seed: int) -> bool:
    """Whether a trial has saved anything."""
    return any((folder / "runs" / "s" / "corridor").glob(f"*-{seed}/checkpoints/step-*.zip"))


@pytest.mark.slow
def test_killed_driver_and_trials(whole: Path, tmp_path: Path) -> None:
    """The driver dies; one trial goes on as an orphan and is found again, the other is killed and goes on."""
    first = driver(tmp_path)
    wait_for(lambda: checkpoint(tmp_path, 0), PATIENCE)
    first.kill()
    first.wait()
    orphan = pid(tmp_path, "corridor-0")
    victim = pid(tmp_path, "corridor-1")
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    second = driver(tmp_path)
    assert second.wait(PATIENCE) == 0
    output = (tmp_path / "out").read_text()
    assert orphan is None or output.count("corridor seed 0: begins") == 1, (
        "it may end before the second looks"
    )
    assert numbers(tmp_path) == numbers(whole)
    assert logged(tmp_path) == logged(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random(whole: Path, tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    running = driver(tmp_path)
    for _ in range(6):
        time.sleep(drawn.uniform(0.5, 12))
        whom = drawn.choice(["driver", *TRIALS])
        if whom == "driver":
            running.kill()
            running.wait()
        elif (process := pid(tmp_path, whom)) is not None:
            os.kill(process, signal.SIGKILL)
        if running.poll() is not None:
            running = driver(tmp_path)
    if running.wait(PATIENCE):
        assert driver(tmp_path).wait(PATIENCE) == 0
    assert numbers(tmp_path) == numbers(whole)
    assert logged(tmp_path) == logged(whole)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(whole: Path, tmp_path: Path) -> None:
    running = driver(tmp_path)
    wait_for(lambda: checkpoint(tmp_path, 0), PATIENCE)
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 130
    output = (tmp_path / "out").read_text()
    again = re.search(r"of 2 trials are done; to go on: expirespan (.*)", output)
    assert again is not None, output
    assert [pid(tmp_path, trial) for trial in TRIALS] == [None, None]
    log = (tmp_path / "runs" / "s" / "trials" / "corridor-0.log").read_text()
    assert "stopped after" in log or "target not met after" in log
    assert driver(tmp_path, shlex.split(again[1])).wait(PATIENCE) == 0
    assert numbers(tmp_path) == numbers(whole)
    assert logged(tmp_path) == logged(whole)


@pytest.mark.slow
def test_again_and_other_commands(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(whole)
    before = numbers(whole)
    assert main(SWEEP) == 0, "nothing is left to run"
    output = capsys.readouterr()
    assert "begins" not in output.out and "| corridor | - | 2 |" in output.out
    assert numbers(whole) == before
    other = [*SWEEP[:3], "0:3", *SWEEP[4:]]
    assert main(other) == 2
    assert "--seeds: 0 1 there, 0 1 2 here" in capsys.readouterr().err
    assert main(["compare", "runs/s", "--output", "compared"]) == 0
    assert "| corridor |" in capsys.readouterr().out
    run = next((whole / "runs" / "s" / "corridor").glob("*-1"))
    assert main(["evaluate", str(run), "--episodes", "2", "--num-envs", "2"]) == 0
    assert main(["train", "--resume", str(run), "--total-timesteps", "704"]) == 0


def test_two_drivers_do_not_share_a_sweep(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from expirespan.experiments.run_folder.lock import locked

    monkeypatch.chdir(whole)
    with locked(Path("runs/s")):
        assert main(SWEEP) == 2
    error = capsys.readouterr().err
    assert f"runs/s is being written by process {os.getpid()}" in error and error.count("\n") == 1


def test_a_trial_that_cannot_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """17 is a width, but not one for two heads: known only when the memory is built."""
    monkeypatch.chdir(tmp_path)
    args = ["sweep", "corridor", "--name", "s", "--retries", "0", "--", *TINY, "--memory.width", "17"]
    assert main(args) == 1
    output = capsys.readouterr()
    assert "failed with exit code 2" in output.out and "failed: corridor seed 0" in output.out
    assert "heads" in output.out and "0 of 1 trials are done" in output.out
    [trial] = json.loads((tmp_path / "runs" / "s" / "plan.json").read_text())["trials"]
    assert trial["status"] == "failed" and "heads" in trial["error"]
