"""Every recipe goes the whole way that a user goes: trained, resumed, evaluated with a recording, shown, exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from expirespan.agents import DeployedPolicy
from expirespan.experiments.cli import main
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.recipes import RECIPES

SMALL = {
    "num-envs": 4, "total-timesteps": 64, "algorithm.n-steps": 16, "evaluation.every": 64, "evaluation.episodes": 2,
    "evaluation.num-envs": 2, "evaluation.step-limit": 12, "wandb": "off", "device": "cpu",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_whole_way(name: str, tmp_path: Path) -> None:
    given: dict[str, object] = SMALL | {"runs": tmp_path / "runs"}
    if RECIPES[name].config.algorithm.name == "ppo":
        given["algorithm.batch-size"] = 32
    if name == "own":
        given["env.id"] = "CartPole-v1"
    options = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    assert main(["train", name, *options, "--no-tensorboard", "--no-progress"]) == 0
    (run,) = (tmp_path / "runs" / name).iterdir()
    assert main(["train", "--resume", str(run), "--total-timesteps", "128"]) == 0
    asked = ["--episodes=2", "--num-envs=2", "--step-limit=12", "--checkpoint=last", "--device=cpu"]
    assert main(["evaluate", str(run), *asked]) == 0
    (recorded,) = run.glob("traces/evaluation.npz")
    trace = EpisodeTrace.load(recorded)
    assert 0 < trace.steps <= 12
    assert len(trace.removed) == (trace.steps if trace.layers else 0)
    assert main(["view", str(run)]) == 0
    assert main(["export", str(run), "--output", str(tmp_path / "policy.zip")]) == 0
    assert DeployedPolicy.load(tmp_path / "policy.zip")
