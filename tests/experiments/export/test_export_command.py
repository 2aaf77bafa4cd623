"""``expirespan export``: what it writes, what it says, and what it refuses before it writes."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.agents import DeployedPolicy, MemoryPPO
from expirespan.agents.export import check
from expirespan.experiments.cli import main
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    EvaluationSettings,
    LSTMSettings,
    PPOSettings,
)
from expirespan.experiments.settings.learning import NoLessonSettings
from expirespan.experiments.training.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of an LSTM, whose graph is small."""
    config = Config(
        recipe="test",
        env=CorridorSettings(max_length=6),
        eval_env=CorridorSettings(max_length=6),
        memory=LSTMSettings(width=16),
        forgetting=NoLessonSettings(),
        algorithm=PPOSettings(n_steps=16, batch_size=32),
        evaluation=EvaluationSettings(every=128, episodes=4, num_envs=2),
        num_envs=4,
        total_timesteps=256,
        standardize=64,
        wandb="off",
        tensorboard=False,
        progress=False,
        runs=str(tmp_path_factory.mktemp("runs")),
    )
    return train(config).run


def test_the_policy_of_a_checkpoint(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "policy.zip"
    assert main(["export", str(run.folder), "--checkpoint", "last", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert f"{output.stat().st_size:,} bytes" in shown and f'DeployedPolicy.load("{output}")' in shown
    deployed = DeployedPolicy.load(output)
    agent = MemoryPPO.load(run.newest_checkpoint(), device="cpu")
    obs = np.stack([deployed.observation_space.sample() for _ in range(8)])
    assert np.array_equal(
        deployed.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0]
    )
    assert (
        deployed.policy.features_extractor.mean.abs().sum() > 0
    )  # statistics of observations, from --standardize
    about = deployed.about
    assert (about["recipe"], about["seed"], about["steps"]) == ("test", 0, 256)
    assert about["environment"] == "ExpireSpan/Corridor-v0"
    assert about["checkpoint"] == run.newest_checkpoint().name
    assert about["trained"]["versions"]["torch"] and about["exported"]["time"] >= about["trained"]["time"]
    assert output.stat().st_size < 0.7 * run.newest_checkpoint().stat().st_size


def test_without_options_it_lands_in_the_run(run: Run) -> None:
    assert main(["export", str(run.folder)]) == 0
    assert (run.folder / "policy.zip").is_file()


@pytest.mark.slow
def test_the_graph_of_a_checkpoint(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run.folder), "--format", "onnx", "--action-masks"]) == 0
    assert "300 steps in onnxruntime, 0 actions differ" in capsys.readouterr().out
    player = check.onnx_player(run.folder / "policy.onnx", 2)
    assert list(player.about["inputs"]) == ["observation", "episode_start", "action_masks", "hidden"]
    assert player.about["about"]["seed"] == 0
    assert player.about["memory"] == {"kind": "lstm", "layers": 1, "width": 16}


def test_a_graph_that_differs_is_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = check.Comparison(steps=100, envs=3, difference=0.5, actions=9, alive=0, overflowed=0)
    monkeypatch.setattr(check, "compare", lambda *_: wrong)
    args = ["export", str(run.folder), "--format", "onnx", "--output", str(tmp_path / "policy.onnx")]
    assert main(args) == 2
    assert "largest difference 5.0e-01" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--capacity", "8"], ["capacity", "add --format onnx"]),
        (["--action-masks"], ["action-masks", "add --format onnx"]),
        (["--format", "torchscript"], ["'torchscript'", "policy", "onnx"]),
        (["--format", "onnx", "--capacity", "8"], ["LSTMMemory keeps no memories", "leave capacity out"]),
        (["--checkpoint", "worst"], ["'worst'", "best, last"]),
        (["--output", "."], ["'.' is a folder", "name of a file"]),
    ],
)
def test_what_it_refuses(
    run: Run,
    options: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run.folder), *options]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words) and said.count("\n") == 1, said
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_checkpoint(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(run.folder / "config.yaml", tmp_path)
    assert main(["export", str(tmp_path)]) == 2
    assert "has no checkpoint yet: train it first" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere")]) == 2
    assert "is no run" in capsys.readouterr().err
    assert main(["export", "--format", "onnx"]) == 2
    assert "the run's folder comes first" in capsys.readouterr().err


def test_a_missing_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "onnxruntime" else found(name)
    )
    assert main(["export", str(run.folder), "--format", "onnx"]) == 2
    assert "--format onnx needs onnxruntime: pip install 'expirespan[onnx]'" in capsys.readouterr().err
    assert main(["export", str(run.folder)]) == 0
