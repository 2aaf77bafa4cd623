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
import time
from pathlib import Path

import pytest

from tests.experiments.sweep.sweeps import TRIALS, driver, numbers, pid, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="ray is not installed: it takes 400 MB, so it is in the extra sweep and not in dev",
    ),
]
TINY = shlex.split(
    "--num-envs 4 --total-timesteps 640 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 128 "
    "--evaluation.episodes 8 --evaluation.num-envs 4 --memory.width 16 --env.min-length 3 --env.max-length 4 "
    "--evaluation.no-what-if --wandb off --no-tensorboard"
)
PATIENCE = 900


def sweep(
    folder: Path, *options: str, recipe: str = "corridor", more: list[str] = TINY
) -> subprocess.Popen[bytes]:
    args = [
        "sweep",
        recipe,
        *(() if "--seeds" in options else ("--seeds", "0:2")),
        "--name",
        "s",
        "--jobs",
        "2",
        *options,
        "--",
        *more,
    ]
    return driver(folder, args)


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
        now = running
        wait_for(
            lambda now=now: now.poll() is not None or any(pid(tmp_path, one) for one in TRIALS), PATIENCE
        )
        time.sleep(drawn.uniform(0.5, 8))
        living = {one: found for one in TRIALS if (found := pid(tmp_path, one)) is not None}
        living |= {f"worker {i}": found for i, found in enumerate(sorted(workers(tmp_path.name)))}
        living |= {"driver": running.pid} if running.poll() is None else {}
        whom = drawn.choice(sorted(living) or ["nobody"])
        if whom in living:
            os.kill(living[whom], signal.SIGKILL)
        if whom == "driver":
            running.wait()
        killed.append(whom)
        if running.poll() is not None:
            running = sweep(tmp_path, "--engine", "ray", "--retries", "9")
    if running.wait(PATIENCE):
        assert sweep(tmp_path, "--engine", "ray", "--retries", "9").wait(PATIENCE) == 0
    print(f"killed: {killed}")
    assert numbers(tmp_path) == numbers(whole)


def test_ctrl_c_saves_and_another_engine_goes_on(whole: Path, tmp_path: Path) -> None:
    running = sweep(tmp_path, "--engine", "ray")
    wait_for(
        lambda: list((tmp_path / "runs" / "s" / "corridor").glob("*-0/checkpoints/step-*.zip")), PATIENCE
    )
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 130
    output = (tmp_path / "out").read_text()
    assert re.search(
        r"of 2 trials are done; to go on: expirespan sweep .* --engine ray --jobs 2 -- ", output
    ), output
    assert [pid(tmp_path, trial) for trial in TRIALS] == [None, None]
    assert sweep(tmp_path).wait(PATIENCE) == 0
    assert numbers(tmp_path) == numbers(whole)


def test_pruned_trials_are_runs_that_can_go_on(tmp_path: Path) -> None:
    """In the T-maze an agent that stands before a wall pays for each step: fewer steps are a better score."""
    args = (
        "--engine",
        "ray",
        "--prune",
        "--over",
        "evaluation.step-limit",
        "1",
        "2",
        "90",
        "91",
        "--seeds",
        "0",
    )
    more = [*TINY, *shlex.split("--evaluation.every 64 --target.success None --target.mean-return 2.5")]
    assert sweep(tmp_path, *args, recipe="tmaze", more=more).wait(PATIENCE) == 0, (
        tmp_path / "out"
    ).read_text()
    found = plan(tmp_path)
    assert [found[limit] for limit in ("1", "2", "90", "91")] == ["done", "done", "pruned", "pruned"], found
    for limit, status in found.items():
        [run] = (tmp_path / "runs" / "s" / f"evaluation.step-limit={limit}" / "tmaze").iterdir()
        last = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["step"]
        assert (last >= 640) == (status == "done"), "a run that was not pruned is complete"
        assert list(run.glob("checkpoints/step-*.zip"))
    table = (tmp_path / "runs" / "s" / "sweep.md").read_text()
    assert "| 0 of 1, 1 pruned |" in table
    assert sweep(tmp_path, *args, recipe="tmaze", more=more).wait(PATIENCE) == 0
    assert plan(tmp_path) == found, "nothing is left to do"
    rest = [word for word in args if word != "--prune"]
    assert sweep(tmp_path, *rest, recipe="tmaze", more=more).wait(PATIENCE) == 0
    assert set(plan(tmp_path).values()) == {"done"}, "without pruning the same runs are trained to their end"
    assert len(list((tmp_path / "runs" / "s").glob("evaluation*/tmaze/*"))) == 4


def plan(folder: Path) -> dict[str, str]:
    """Status of each trial by its limit of steps."""
    trials = json.loads((folder / "runs" / "s" / "plan.json").read_text())["trials"]
    return {trial["overrides"]["evaluation.step-limit"]: trial["status"] for trial in trials}
