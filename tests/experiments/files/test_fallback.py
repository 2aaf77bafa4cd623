"""A run whose files are damaged: what is good is used, what is not is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from expirespan.experiments.cli import main
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.evaluation.compare import read_results
from expirespan.experiments.run_folder.checkpoints import checkpoint_step
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    PPOSettings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.experiments.training.train import TrainingResult, train

Trained = tuple[Config, TrainingResult]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = Config(
        recipe="tiny", total_timesteps=768, num_envs=8, env=CorridorSettings(3, 4), eval_env=CorridorSettings(3, 4),
        memory=ExpireSpanSettings(width=8, layers=1, heads=1, max_span=32, ramp=4), checkpoints=3, wandb="off",
        algorithm=PPOSettings(n_steps=16, batch_size=64, n_epochs=1), tensorboard=False, progress=False,
        evaluation=EvaluationSettings(every=256, episodes=4, num_envs=4), runs=str(tmp_path_factory.mktemp("runs")),
    )  # fmt: skip
    return config, train(config)


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Iterator[Run]:
    """A copy of a run with checkpoints at 256, 512 and 768 steps."""
    shutil.copytree(trained[1].run.folder, tmp_path / "run")
    found = Run.open(tmp_path / "run")
    assert [checkpoint_step(path) for path in found.step_checkpoints()] == [256, 512, 768]
    yield found


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint(trained: Trained, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    config, whole = trained
    newest = run.step_checkpoints()[-1]
    flip(newest)
    assert run.find_checkpoint("last").name == "step-0000000512.zip"
    said = capsys.readouterr().err
    assert str(newest) in said and "checksum" in said and "step-0000000512.zip is taken" in said
    assert newest.exists(), "only who goes on training renames it"
    again = train(config, run)
    said = capsys.readouterr().err
    assert str(newest) in said and "now named damaged-step-0000000768.zip" in said
    mine, theirs = again.agent.policy.state_dict(), whole.agent.policy.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs), "the run that had no damage"
    assert run.newest_checkpoint() == newest and not capsys.readouterr().err
    assert [entry["step"] for entry in run.evaluations()] == [256, 512, 768]


def test_all_checkpoints_damaged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for path in run.step_checkpoints():
        path.write_bytes(path.read_bytes()[:-100])
    assert main(["evaluate", str(run.folder), "--checkpoint", "last"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(str(path) in said for path in run.step_checkpoints())
    flip(run.best)
    assert main(["evaluate", str(run.folder)]) == 2
    assert "--checkpoint last" in capsys.readouterr().err


def test_evaluate_says_what_it_takes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    flip(run.step_checkpoints()[-1])
    args = ["--checkpoint", "last", "--episodes", "2", "--num-envs", "2", "--device", "cpu"]
    assert main(["evaluate", str(run.folder), *args]) == 0
    assert "step-0000000512.zip is taken in its place" in capsys.readouterr().err


def test_other_files_in_the_folder(run: Run) -> None:
    names = (
        "step-0000000768-backup.zip",
        "step-.zip",
        "step-1e9.zip",
        "step-99999999999999999999.zip",
        "step-x.zip",
    )
    for name in names:
        shutil.copyfile(run.best, run.checkpoints / name)
    assert run.newest_checkpoint().name == "step-0000000768.zip" and len(run.step_checkpoints()) == 3
    with pytest.raises(ValueError, match="not named like a checkpoint"):
        checkpoint_step(run.checkpoints / names[0])


def test_damaged_logs(trained: Trained, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before, entries = read_csv(run.progress), run.evaluations()
    with run.progress.open("ab") as file:
        file.write(b"896,0.5,\xff\xfe")
    with (run.folder / "evaluations.jsonl").open("ab") as file:
        file.write(bytes(100) + b'\n{"step": 900}\n[1]\n{"step": 1024, "success": 0.')
    assert run.evaluations() == entries and read_csv(run.progress) == before
    said = capsys.readouterr().err
    assert "1 of" in said and "4 of 7 lines are damaged" in said
    longer = train(replace(trained[0], total_timesteps=1024), run)
    assert longer.steps == 1024
    assert [entry["step"] for entry in run.evaluations()] == [256, 512, 768, 1024]
    rows = read_csv(run.progress)
    assert rows[: len(before)] == before and len(rows) > len(before)
    assert (run.folder / "damaged-progress.csv").read_bytes().endswith(b"\xff\xfe"), "nothing is lost"
    assert read_results([run.folder])[0].steps == [256, 512, 768, 1024]


def test_a_damaged_trace(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    damaged, *others = sorted(run.traces.glob("step-*.npz"))
    flip(damaged)
    page = str(run.folder / "page.html")
    assert main(["view", str(run.folder), "--output", page]) == 0
    assert f"left out: {damaged} is damaged" in capsys.readouterr().err
    assert main(["view", str(damaged), "--output", page]) == 2
    assert str(damaged) in capsys.readouterr().err
    for path in others:
        flip(path)
    assert main(["view", str(run.folder), "--output", page]) == 2


def test_settings_that_are_no_text(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.folder / "config.yaml").write_bytes(b"task: \xff\xfe")
    for command in (["train", "--resume"], ["evaluate"], ["compare"]):
        assert main([*command, str(run.folder)]) == 2
        assert "no text in UTF-8" in capsys.readouterr().err


def test_swapped_arrays_of_a_trace(run: Run) -> None:
    """Arrays of the same kind in each other's place have the right checksums, but not that of the file."""
    import numpy as np

    path = sorted(run.traces.glob("step-*.npz"))[0]
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["reward"], arrays["value"] = arrays["value"], arrays["reward"]
    np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match="not those that were saved together"):
        EpisodeTrace.load(path)
