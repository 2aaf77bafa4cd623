"""``--env gym --env.id module:Id`` works for any module in the working directory or installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from expirespan.experiments.making.registered import registered
from expirespan.experiments.settings.errors import UserError

MODULE = """
import gymnasium as gym
import numpy as np


class Recall(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue, self.time = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1, 0], np.float32), {}

    def step(self, action):
        self.time += 1
        over = self.time == 4
        return np.array([0, over], np.float32), float(over and action == self.cue), over, False, {}


gym.register("MyEnv-v0", entry_point="%s:Recall")
"""
SMALL = "--num-envs 4 --total-timesteps 256 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 256"
MORE = "--evaluation.episodes 4 --evaluation.num-envs 2 --memory.width 8 --wandb off --no-tensorboard --no-progress"


@pytest.mark.slow
def test_train_evaluate_and_resume(tmp_path: Path) -> None:
    """As a user does it, with the console script, which does not look in the working directory by itself."""
    (tmp_path / "my_module.py").write_text(MODULE % "my_module")
    script = Path(sys.executable).parent / "expirespan"

    def run(*args: str) -> str:
        done = subprocess.run([script, *args], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("train", "corridor", "--env", "gym", "--env.id", "my_module:MyEnv-v0", *SMALL.split(), *MORE.split())
    assert "agent" in run("evaluate", "runs/corridor", "--episodes", "4", "--num-envs", "2")
    run("train", "--resume", "runs/corridor", "--total-timesteps", "512")
    (one,) = (tmp_path / "runs" / "corridor").iterdir()
    assert (one / "checkpoints" / "step-0000000512.zip").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("not_there_1", None, r"importing 'not_there_1' failed \(ModuleNotFoundError"),
        (
            "raises_1",
            "1 / 0",
            r"importing 'raises_1' failed \(ZeroDivisionError: division by zero\); expected MODULE:ID",
        ),
        ("broken_1", "def f(:", r"importing 'broken_1' failed \(SyntaxError"),
    ],
)
def test_modules_that_fail_are_explained(
    name: str, text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(UserError, match=said):
        registered(f"{name}:MyEnv-v0")


def test_ids_without_a_module_are_left_alone() -> None:
    assert registered("CartPole-v1") == "CartPole-v1"
    assert registered("expirespan.envs:ExpireSpan/Corridor-v0") == "ExpireSpan/Corridor-v0"
