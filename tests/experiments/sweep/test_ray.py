"""Sweeps in Ray, which takes its time to start: the same table as on this machine, killed or not; pruning."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.sweep.engine import Job
from expirespan.experiments.sweep.local import LocalEngine, _holder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="ray is not installed: it takes 400 MB, so it is in the extra sweep and not in dev",
    ),
]
CLI = "import sys; from expirespan.experiments.cli import main; sys.exit(main())"
TINY = shlex.split(
    "--num-envs 4 --total-timesteps 640 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 128 "
    "--evaluation.episodes 8 --evaluation.num-envs 4 --memory.width 16 --env.max-length 4 --evaluation.no-what-if "
    "--wandb off --no-tensorboard"
)
TRIALS = ("corridor-0", "corridor-1")
PATIENCE = 900


def sweep(folder: Path, *options: str, more: list[str] = TINY) -> subprocess.Popen[bytes]:
    args = ["sweep", "corridor", "--seeds", "0:2", "--name", "s", "--jobs", "2", *options, "--", *more]
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", CLI, *args], cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )


def numbers(folder: Path) -> Any:
    """What the sweep found, but for times and the folders' names, which hold times."""
    text = (folder / "runs" / "s" / "sweep.json").read_text()
    found = json.loads(re.sub(r"\d{8}-\d{6}-", "TIME-", text))
    for group in found["groups"]:
        for run in group["runs"]:
            run["seconds"] = 0
    return found["groups"], found["unfinished"], found["compare"]


def process(folder: Path, trial: str) -> int | None:
    """The process of a trial, if it is running."""
    lock = folder / "runs" / "s" / "trials" / f"{trial}.lock"
    return _holder(lock) if lock.exists() and LocalEngine().find(Job(trial, (), lock, lock)) else None


def workers(test: str) -> list[int]:
    """Ray's processes that host trials of one test, by a name in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().decode(errors="replace")
            environment = (path / "environ").read_bytes()
        except OSError:
            continue
        if line.startswith("ray::") and f"SWEEP_OF_TEST={test}".encode() in environment:
            found.append(int(path.name))
    return found


def wait_for(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep without Ray, that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert sweep(folder).wait(PATIENCE) == 0
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_it_ends_in_the_same_table(
    whole: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_OF_TEST", tmp_path.name)
    drawn = random.Random(seed)
    running = sweep(tmp_path, "--engine", "ray", "--retries", "9")
    killed = []
    for _ in range(4):
        wait_for(lambda: running.poll() is not None or any(process(tmp_path, trial) for trial in TRIALS))
        time.sleep(drawn.uniform(0.5, 8))
        whom = drawn.choice(["driver", "worker", *TRIALS])
        hosts = workers(tmp_path.name)
        if whom == "driver":
            running.kill()
            running.wait()
        elif whom == "worker" and hosts:
            os.kill(drawn.choice(hosts), signal.SIGKILL)
        elif (found := process(tmp_path, whom)) is not None:
            os.kill(found, signal.SIGKILL)
        else:
            whom = "nobody"
        killed.append(whom)
        if running.poll() is not None:
            running = sweep(tmp_path, "--engine", "ray", "--retries", "9")
    if running.wait(PATIENCE):
        assert sweep(tmp_path, "--engine", "ray", "--retries", "9").wait(PATIENCE) == 0
    print(f"killed: {killed}")
    assert numbers(tmp_path) == numbers(whole)


def test_ctrl_c_saves_and_another_engine_goes_on(whole: Path, tmp_path: Path) -> None:
    running = sweep(tmp_path, "--engine", "ray")
    wait_for(lambda: list((tmp_path / "runs" / "s" / "corridor").glob("*-0/checkpoints/step-*.zip")))
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 130
    output = (tmp_path / "out").read_text()
    assert re.search(
        r"of 2 trials are done; to go on: expirespan sweep .* --engine ray --jobs 2 -- ", output
    ), output
    assert [process(tmp_path, trial) for trial in TRIALS] == [None, None]
    assert sweep(tmp_path).wait(PATIENCE) == 0
    assert numbers(tmp_path) == numbers(whole)


def test_pruned_trials_are_runs_that_can_go_on(tmp_path: Path) -> None:
    """Without steps in the corridor nobody succeeds: those that ASHA prunes, tied with the best, are let go on."""
    over = ("--over", "algorithm.learning-rate", "1e-3", "1e-30", "1e-31", "1e-32")
    more = [*TINY, "--env.max-length", "3", "--total-timesteps", "23040", "--evaluation.every", "1280",
            "--evaluation.episodes", "64", "--num-envs", "16", "--algorithm.batch-size", "128"]  # fmt: skip
    args = ("--engine", "ray", "--prune", *over, "--seeds", "0")
    assert sweep(tmp_path, *args, more=more).wait(PATIENCE) == 0, (tmp_path / "out").read_text()
    trials = json.loads((tmp_path / "runs" / "s" / "plan.json").read_text())["trials"]
    statuses = [trial["status"] for trial in trials]
    assert set(statuses) <= {"done", "pruned"} and "done" in statuses
    runs = sorted((tmp_path / "runs" / "s").glob("algorithm*/corridor/*"))
    last = [json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["step"] for run in runs]
    for folder, step in zip(runs, last, strict=True):
        trial = next(
            trial for trial in trials if f"={trial['overrides']['algorithm.learning-rate']}/" in str(folder)
        )
        assert (step >= 23040) == (trial["status"] == "done"), "a run that was not pruned is complete"
    again = sweep(tmp_path, *args, more=more)
    assert again.wait(PATIENCE) == 0
    assert json.loads((tmp_path / "runs" / "s" / "plan.json").read_text())["trials"] == trials, (
        "nothing is left"
    )
