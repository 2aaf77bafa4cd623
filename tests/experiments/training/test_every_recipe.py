"""Every recipe goes the whole way that a user goes: trained, resumed, evaluated with a recording, shown, exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from expirespan.agents import DeployedPolicy
from expirespan.experiments.cli import main
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.recipes import RECIPES

SMALL = [
    "--num-envs",
    "4",
    "--total-timesteps",
    "64",
    "--algorithm.n-steps",
    "16",
    "--evaluation.every",
    "64",
    "--evaluation.episodes",
    "2",
    "--evaluation.num-envs",
    "2",
    "--evaluation.step-limit",
    "12",
    "--wandb",
    "off",
    "--no-tensorboard",
    "--no-progress",
    "--device",
    "cpu",
]
OF_PPO = ["--algorithm.batch-size", "32"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_whole_way(name: str, tmp_path: Path) -> None:
    own = ["--env.id", "CartPole-v1"] if name == "own" else []
    ppo = [] if RECIPES[name].config.algorithm.name == "a2c" else OF_PPO
    width = [] if name.startswith("instruction") else ["--memory.width", "16"]
    assert main(["train", name, *own, *SMALL, *ppo, *width, "--runs", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs" / name).iterdir()
    assert main(["train", "--resume", str(run), "--total-timesteps", "128"]) == 0
    asked = [
        "--episodes",
        "2",
        "--num-envs",
        "2",
        "--step-limit",
        "12",
        "--checkpoint",
        "last",
        "--device",
        "cpu",
    ]
    assert main(["evaluate", str(run), *asked]) == 0
    (recorded,) = run.glob("traces/evaluation.npz")
    trace = EpisodeTrace.load(recorded)
    assert 0 < trace.steps <= 12
    assert len(trace.removed) == (trace.steps if trace.layers else 0)
    assert main(["view", str(run)]) == 0
    assert main(["export", str(run), "--output", str(tmp_path / "policy.zip")]) == 0
    assert DeployedPolicy.load(tmp_path / "policy.zip")
