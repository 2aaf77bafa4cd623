from __future__ import annotations

import json
from pathlib import Path

import pytest

from expirespan.experiments.cli import EvaluateOptions, main
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config, CorridorSettings
from expirespan.experiments.settings.config_file import read_config, to_yaml
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["train", "--help"]) == main(["train", "--workers", "2", "--help"]) == 0
    assert main(["train", "--workers", "2"]) == main(["train"]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    for name, recipe in RECIPES.items():
        assert f"{name} {recipe.summary}" in shown
    for args, words in (
        (
            ["train", "corridor", "--help"],
            ["Longest corridor, in cells.", "Source:", "--memory {expire_span,"],
        ),
        (["evaluate", "--help"], ["--episodes", "--max-length", "--max-span"]),
    ):
        with pytest.raises(SystemExit) as end:
            main(args)
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("trian corridor", ["'trian'", "did you mean 'train'"]),
        ("train coridor", ["'coridor'", "did you mean 'corridor'", "corridor-lstm", "train --help"]),
        ("train --seed 3", ["'--seed'", "the recipe comes first", "corridor-quick"]),
        ("train corridor --memory lst", ["'lst'", "did you mean 'lstm'", "fixed_window"]),
        ("train corridor --memory", ["--memory needs a name", "gru"]),
        (
            "train corridor --memory.window 3",
            ["'--memory.window'", "max-span", "--memory fixed_window or compressive has it"],
        ),
        ("train corridor --memory.max-spn 3", ["did you mean --memory.max-span"]),
        ("train corridor --env Foo-v0", ["'Foo-v0'", "ExpireSpan/Corridor-v0"]),
        (
            "train corridor --env CartPole-v1",
            ["type: expirespan train own --env.id CartPole-v1"],
        ),
        ("train own", ["env.id", "expirespan train own --env.id my_module:MyEnv-v0"]),
        ("train corridor --seed three", ["--seed", "'three'", "an integer >= 0"]),
        ("train corridor --total-timesteps 1.5", ["--total-timesteps", "'1.5'", "an integer >= 1"]),
        ("train corridor --wandb maybe", ["'maybe'", "offline"]),
        ("train corridor --env.max-length 2", ["max_length=2", ">= 3"]),
        ("train corridor --memory.max-span -5", ["max_span", "-5"]),
        ("train --resume nowhere", ["'nowhere'", "config.yaml"]),
        ("train --resume", ["--resume needs a path"]),
        ("train --config none.yaml", ["none.yaml"]),
        ("evaluate nowhere", ["'nowhere'"]),
        ("evaluate --episodes 3", ["'--episodes'", "run's folder comes first"]),
    ],
)
def test_mistakes_are_explained_in_one_paragraph(
    command: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    for word in words:
        assert word in captured.err
    assert captured.err.startswith("expirespan: error: ")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--env.max-length", "did you mean --max-length?"),
        ("--max-lenth", "did you mean --max-length?"),
        ("--eval-env.max-steps", "did you mean --max-steps?"),
        ("--memory.width", "write --name value or --part.name value"),
    ],
)
def test_hints_name_options_as_they_are_written(flag: str, hint: str) -> None:
    """Those of the environment stand without a prefix in `expirespan evaluate`."""
    options = EvaluateOptions(CorridorSettings())
    with pytest.raises(UserError) as error:
        parse(options, [flag, "5"], "expirespan evaluate RUN", "")
    assert f"unknown option '{flag}': {hint}" in str(error.value)
    assert parse(options, ["--max-length", "7"], "", "").env == CorridorSettings(max_length=7)


def test_train_evaluate_resume(tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(to_yaml(tiny))
    assert main(["train", "--config", str(recipe), "--seed", "3", "--env.max-length", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    run = Run.open(Path(tiny.runs) / "tiny")
    assert lines[0] == "recipe       tiny, seed 3"
    assert f"folder       {run.folder}" in lines
    told = next(i for i, line in enumerate(lines) if line.startswith("Evaluations of 8 episodes each."))
    assert [line.split()[0] for line in lines[told + 1 : told + 4]] == ["steps", "512", "1,024"]
    assert lines[told + 4].startswith("ended after 1,024 environment steps")
    assert lines[told + 5].startswith("The agent keeps ")
    assert lines[-4] == f"picture  {run.pictures / 'retention.png'}"
    assert (run.pictures / "retention.png").stat().st_size > 10_000
    assert lines[-3:] == [
        f"next     expirespan evaluate {run.folder} --trace",
        f"         expirespan view {run.folder} --open",
        f"         expirespan compare {run.folder} OTHER-RUN",
    ]
    config = read_config(run.folder / "config.yaml")
    assert config.seed == 3
    assert config.eval_env == CorridorSettings(3, 5)
    assert run.folder.name.endswith("-3")

    evaluated = ["evaluate", str(run.folder), "--episodes", "20", "--max-length", "8", "--max-span", "64"]
    assert main(["evaluate", str(run.folder), "--episodes", "2", "--trace", "2", "--max-length", "8"]) == 0
    traces = [EpisodeTrace.load(run.traces / name) for name in ("evaluation.npz", "evaluation-2.npz")]
    assert [trace.about["seed"] for trace in traces] == [2_000_000, 2_000_001]
    assert main(["evaluate", str(run.folder), "--trace", "here"]) == 2
    assert "trace='here'" in capsys.readouterr().err
    assert main(["evaluate", str(run.folder), "--episodes", "0", "--trace", "1"]) == 2
    assert main(["evaluate", str(run.folder), "--checkpoint", "none.zip", "--trace", "1"]) == 2
    assert len(list(run.traces.glob("evaluation*.npz"))) == 2, "what fails leaves earlier traces alone"
    capsys.readouterr()
    evaluated.append("--trace")
    assert main(evaluated) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        f"scores   {run.folder / 'evaluation.json'}",
        f"picture  {run.pictures / 'evaluation.png'}",
        f"next     expirespan view {run.folder} --open",
        f"         expirespan compare {run.folder} OTHER-RUN",
    ]
    assert any(line.startswith("The agent keeps ") and " observations" in line for line in lines)
    assert any(line.split()[:1] == ["chance"] for line in lines)
    result = json.loads((run.folder / "evaluation.json").read_text())
    assert [path.name for path in run.traces.glob("evaluation*.npz")] == ["evaluation.npz"], (
        "the other is old"
    )
    assert result["settings"]["max_length"] == 8
    assert result["max_span"] == [64.0, 64.0]
    assert result["agent"]["episodes"] == 20
    assert result["oracle"]["success"] == 1.0
    assert result["trained_steps"] > 0
    assert {"command", "commit", "machine", "versions"} <= set(result["provenance"])
    trace = EpisodeTrace.load(run.traces / "evaluation.npz")
    assert trace.about["settings"]["min_length"] == trace.about["settings"]["max_length"] == 8

    scores = []
    for path in ("a.json", "b.json"):
        drawn = ["--no-deterministic", "--output", str(tmp_path / path)]
        assert main(["evaluate", str(run.folder), "--episodes", "20", "--max-length", "8", *drawn]) == 0
        scores.append(json.loads((tmp_path / path).read_text()))
    assert (scores[0]["deterministic"], result["deterministic"]) == (False, True)
    assert scores[0]["agent"]["mean_return"] == scores[1]["agent"]["mean_return"], "drawn from the seed"
    assert scores[0]["agent"]["mean_steps"] != result["agent"]["mean_steps"]
    capsys.readouterr()

    assert main(["train", "--resume", str(run.folder)]) == 0, "there is nothing left to do"
    capsys.readouterr()
    assert main(["train", "--resume", str(run.folder), "--memory.width", "8"]) == 2
    assert "memory cannot change" in capsys.readouterr().err
    for option, value in (("standardize", "5"), ("least-deviation", "0.5"), ("reward-scale", "2")):
        assert main(["train", "--resume", str(run.folder), f"--{option}", value]) == 2
        assert f"{option.replace('-', '_')} cannot change" in capsys.readouterr().err.replace("-", "_")
    assert main(["evaluate", str(run.folder), "--output", str(tmp_path / "none" / "a.json")]) == 2
    assert "expected a file in an existing folder" in capsys.readouterr().err
    assert main(["train", "--resume", str(run.folder), "--total-timesteps", "1500"]) == 0
    resumed = capsys.readouterr().out.splitlines()
    assert resumed[0] == "recipe       tiny, seed 3, goes on after 1,024 steps"
    assert resumed[-4] == f"picture  {run.pictures / 'retention.png'}"
    assert run.newest_checkpoint().name == "step-0000001536.zip"
    assert main(["evaluate", str(run.folder), "--checkpoint", "third"]) == 2
    assert "checkpoint='third'" in capsys.readouterr().err


def test_the_line_that_the_error_tells_to_type_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains, and charges nothing for memory at first."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "corridor", "--env", "CartPole-v1"]) == 2
    line = capsys.readouterr().err.rpartition("type: expirespan ")[2].split()
    small = (
        "--total-timesteps 64 --num-envs 2 --algorithm.n-steps 16 --algorithm.batch-size 16 --evaluation.episodes 2 "
        "--wandb off --no-tensorboard"
    )
    assert main([*line, *small.split()]) == 0
    shown = capsys.readouterr().out
    assert "environment  CartPole-v1, 2 side by side" in shown
    assert "price        0.05, once the score makes no more progress" in shown
    assert "target       none" in shown


def test_a_folder_that_cannot_be_written(
    tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, blocked = tmp_path / "tiny.yaml", tmp_path / "file"
    recipe.write_text(to_yaml(tiny))
    blocked.write_text("")
    assert main(["train", "--config", str(recipe), "--runs", str(blocked / "runs")]) == 2
    message = capsys.readouterr().err
    assert "cannot write the run folder" in message
    assert str(blocked) in message
    assert "--runs" in message
