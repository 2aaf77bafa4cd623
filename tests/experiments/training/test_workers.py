"""`expirespan train --workers N`: what is refused, and what is left when workers are killed or stopped."""

from __future__ import annotations

import csv
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch as th

from expirespan.agents import MemoryPPO
from expirespan.experiments.cli import main
from expirespan.experiments.episodes.playing import OraclePlayer, play
from expirespan.experiments.settings import CorridorSettings
from tests.agents.workers.conftest import run_processes

KILLS = int(os.environ.get("KILLS", "3"))
"""docs/workers.md reports 20."""
RUN = shlex.split(
    "corridor --num-envs 8 --total-timesteps 2048 --evaluation.every 256 --evaluation.episodes 2 "
    "--evaluation.num-envs 2 --evaluation.no-what-if --evaluation.step-limit 40 --env.max-length 20 --wandb off "
    "--no-tensorboard --no-progress --algorithm.n-steps 32 --algorithm.batch-size 128 --memory.width 32 "
    "--memory.max-span 64 --penalty constant --penalty.coef 0.05 --target.success None --target.alive None"
)


@pytest.mark.parametrize(
    "args, said",
    [
        ("--workers", "--workers alone: expected a whole number of at least 1"),
        ("--workers=two", "--workers two: expected a whole number of at least 1"),
        ("--workers 0", "--workers 0: expected a whole number of at least 1"),
        ("--max-restarts 2", "--max-restarts goes with --workers N"),
        (
            "--workers 3",
            "--num-envs 64 cannot be shared out evenly among 3 workers; --num-envs=63 or 66 would fit, or 1, 2, 4",
        ),
        ("--workers 2 --normalize-reward", "2 workers cannot share --normalize-reward, whose deviation"),
        ("--workers 2 --device cuda:0", "--device cuda:0 gives 2 workers one GPU; --device auto or cuda"),
    ],
)
def test_what_is_refused_before_anything_starts(
    args: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "corridor", *args.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"expirespan: error: {said}")


def played(workers: Any) -> Any:
    env = CorridorSettings(3, 9)
    player = OraclePlayer(env, max(1, len(workers.own(3))))
    found = play(player, env, episodes=8, num_envs=3, seed=7, workers=workers)
    return found.returns.tolist(), found.steps.tolist(), found.length.tolist(), found.ended.tolist()


def test_workers_share_out_the_episodes_of_an_evaluation() -> None:
    """Also among more workers than there are environments."""
    (alone,) = run_processes(1, played)
    assert len(alone[0]) == 8 and len(set(alone[2])) > 1
    assert run_processes(2, played) == [alone] * 2
    assert run_processes(4, played) == [alone] * 4


def start(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "expirespan", "train", *args, "--workers", "2"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def newest(folder: Path) -> int:
    return max((int(path.stem[5:]) for path in folder.glob("runs/*/*/checkpoints/step-*.zip")), default=0)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def facts(folder: Path) -> tuple[th.Tensor, str, list[dict[str, str]]]:
    """Weights, evaluations and rows of the log, times aside."""
    (run,) = folder.glob("runs/*/*")
    agent = MemoryPPO.load(sorted(run.glob("checkpoints/step-*.zip"))[-1], device="cpu")
    entries = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    timed = ("steps_per_second", "step_times", "time/fps", "time/time_elapsed")
    evaluations = [{k: v for k, v in entry.items() if k not in timed} for entry in entries]
    with (run / "progress.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    return th.nn.utils.parameters_to_vector(agent.policy.parameters()), str(evaluations), rows


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_killed_and_stopped_workers_lose_nothing(tmp_path: Path) -> None:
    """The same weights, evaluations and rows as uninterrupted: after kills, and after Ctrl-C and termination."""
    for name in ("whole", "killed", "stopped"):
        (tmp_path / name).mkdir()
    assert start(tmp_path / "whole", *RUN).wait() == 0
    expected = facts(tmp_path / "whole")

    draw, folder, seen = random.Random(0), tmp_path / "killed", set[int]()
    process = start(folder, *RUN, "--max-restarts", str(2 * KILLS))
    for _ in range(KILLS):
        at = newest(folder)
        while process.poll() is None and (newest(folder) <= at or len(set(workers_of(process)) - seen) < 2):
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 1))
        if process.poll() is None:
            seen |= set(found := [pid for pid in workers_of(process) if pid not in seen])
            os.kill(draw.choice(found), signal.SIGKILL)
    assert process.wait() == 0
    assert_same(facts(folder), expected)

    folder, args = tmp_path / "stopped", RUN
    for number in (signal.SIGINT, signal.SIGTERM):
        at, process = newest(folder), start(folder, *args)
        while newest(folder) <= at and process.poll() is None:
            time.sleep(0.05)
        left = workers_of(process)
        process.send_signal(number)
        assert process.wait() == 130
        assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]
        args = ["--resume", str(next(folder.glob("runs/*/*")))]
    assert start(folder, *args).wait() == 0
    assert_same(facts(folder), expected)


def assert_same(found: Any, expected: Any) -> None:
    assert th.equal(found[0], expected[0]) and found[1:] == expected[1:]
