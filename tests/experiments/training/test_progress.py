"""What training prints: header, estimate, table of evaluations."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest

from expirespan.experiments.evaluation.evaluate import Score
from expirespan.experiments.evaluation.stats import Interval
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    ConstantPenaltySettings,
    CorridorSettings,
    FixedWindowSettings,
    LSTMSettings,
    NoLessonSettings,
    PlateauPenaltySettings,
    TargetSettings,
    WandbSettings,
    WarmupPenaltySettings,
)
from expirespan.experiments.training import progress
from expirespan.experiments.training.header import header, memory_words, next_words, price_words, target_words
from expirespan.experiments.training.progress import (
    EvaluationTable,
    ProgressBar,
    duration,
    estimate,
    usual_steps,
)
from expirespan.experiments.training.target import met_in_a_row

DOCUMENTED = Path(__file__).parents[3] / "docs" / "results" / "reproduce"
SCORE = Score(200, 1.0, Interval(0.981, 1.0), 1.0, 100.0, [9.0, 9.0], [9.0, 10.0], 1.0, [], 1000.0)


@pytest.mark.parametrize(
    ("step", "rate", "usual", "target", "words"),
    [
        (500_000, 5_000, 2_000_000, True, "0.50 M of usually 2.00 M steps, about 5 min left"),
        (2_500_000, 5_000, 2_000_000, True, "2.50 M steps, more than usual, at most 5 min left"),
        (1_000_000, 500, None, True, "1.00 M steps, until its target, at most 1 h 40 min left"),
        (3_900_000, 5_000, None, False, "3.90 M of 4.00 M steps, 20 s left"),
        (0, None, 2_000_000, True, "0.00 M of usually 2.00 M steps"),
    ],
)
def test_estimates(step: int, rate: float | None, usual: int | None, target: bool, words: str) -> None:
    """Only a run without a target takes all 4 M steps."""
    assert estimate(step, rate, usual, 4_000_000, target) == words


def test_durations() -> None:
    assert [duration(s) for s in (-1, 59.4, 61, 3599, 7500)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 0 min",
        "2 h 5 min",
    ]


def test_usual_steps_are_those_of_the_recipe_and_of_nothing_different() -> None:
    config, usual = RECIPES["corridor"].config, RECIPES["corridor"].usual_steps
    assert usual and usual_steps(config) == usual
    assert usual_steps(replace(config, seed=5, wandb="off", runs="elsewhere", threads=2)) == usual
    assert usual_steps(replace(config, wandb_run=WandbSettings(group="g"))) == usual
    held = replace(config, target=replace(config.target, hold=1_000_000))
    assert usual_steps(held) == usual + 1_000_000
    assert usual_steps(replace(config, env=CorridorSettings(3, 50))) is None
    assert usual_steps(replace(config, total_timesteps=usual)) is None
    assert usual_steps(replace(config, recipe="mine")) is None
    assert usual_steps(RECIPES["corridor-lstm"].config) is None


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.usual_steps])
def test_usual_steps_are_about_what_was_measured(name: str) -> None:
    found = [json.loads(file.read_text())["target"] for file in DOCUMENTED.glob(f"{name}-[0-9]*.json")]
    usual = RECIPES[name].usual_steps
    assert usual is not None and (not found or usual / 1.6 < median(found) < usual * 1.6)


def test_header(tiny: Config, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "r")
    config = replace(RECIPES["corridor"].config, seed=3)
    facts = header(config, run, 0)
    told = dict(fact for fact in facts if fact[0])
    assert told["recipe"] == "corridor, seed 3"
    assert told["agent"] == "PPO, memory expire_span (layers 2, width 64, max span 512, ramp 8)"
    assert told["environment"].startswith(
        "ExpireSpan/Corridor-v0 (min_length 3, max_length 200, length_distribution "
    )
    assert told["target"] == (
        "success 0.99 with at most 10 memories alive per layer, in 2 evaluations in a row"
    )
    assert told["ends"].startswith("when its target is met, usually after about 1,")
    assert told["ends"].endswith("after 4,000,000 steps at the latest")
    assert told["folder"] == str(run.folder)
    assert f"expirespan view {run.folder} " in told["watch"]
    assert ("", f"tensorboard --logdir {run.folder}") in facts
    assert told["price"] == (
        "0.0125, once success (or the mean return) reaches 0.95, with a lesson in forgetting"
    )
    warm = replace(tiny, penalty=WarmupPenaltySettings(coef=1e-5, start=1_000, steps=500))
    assert price_words(warm) == "rises to 1e-05 from step 1,000 to 1,500"
    assert price_words(replace(tiny, penalty=ConstantPenaltySettings(0.2))) == "0.2 from the start"
    own = replace(tiny, penalty=PlateauPenaltySettings(0.2), forgetting=NoLessonSettings())
    assert price_words(own) == "0.2, once the score makes no more progress"
    told = dict(header(replace(tiny, penalty=ConstantPenaltySettings()), run, 512))
    assert told["recipe"] == "tiny, seed 0, goes on after 512 steps"
    assert told["price"] == "none: the agent has no reason to forget"
    assert (told["target"], told["ends"]) == ("none", "after 1,024 steps")
    assert "" not in told, "TensorBoard is off"
    assert memory_words(LSTMSettings()) == "memory lstm (layers 1, width 64)" or "lstm" in memory_words(
        LSTMSettings()
    )
    assert "window 64" in memory_words(FixedWindowSettings(window=64))
    assert (
        target_words(TargetSettings(mean_return=4.3, evaluations=1)) == "mean return 4.3, in one evaluation"
    )
    assert [command.split()[1] for _, command in next_words(run)] == ["evaluate", "view", "compare"]


def test_a_table_of_evaluations(capsys: pytest.CaptureFixture[str]) -> None:
    table = EvaluationTable(TargetSettings(success=0.99, evaluations=2))
    for step, met in ((100_000, 0), (200_000, 1), (300_000, 2), (400_000, 3)):
        table.add(step, SCORE, met)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Evaluations of 200 episodes each. longest: ")
    assert lines[1].split() == [
        "steps",
        "success",
        "95",
        "%",
        "interval",
        "return",
        "longest",
        "alive",
        "target",
    ]
    assert lines[2].endswith(" 100,000    1.000   0.981 to 1.000    1.000    1.000     9 / 10")
    assert [line.partition("9 / 10")[2].strip() for line in lines[3:]] == ["met 1 of 2", "met 2 of 2", "held"]
    assert max(map(len, lines[1:])) < 80
    EvaluationTable(TargetSettings()).add(100_000, SCORE, 0)
    assert "target" not in capsys.readouterr().out


def test_evaluations_in_a_row() -> None:
    target = TargetSettings(success=0.9)
    entries: list[dict[str, Any]] = [
        {"step": i, "success": s, "mean_return": s, "alive_at_end": None}
        for i, s in enumerate([1.0, 0.5, 0.9, 1.0])
    ]
    assert [met_in_a_row(entries[:n], target) for n in range(5)] == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("shown", [True, False])
def test_no_bar_in_files(tiny: Config, shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Under pytest there is no terminal: nothing is written, whether a bar was asked for or not."""
    bar = ProgressBar(replace(tiny, progress=shown), 0)
    bar.write({}, {}, 8)  # before it begins there is nothing to move
    bar.begin()
    bar.write({}, {}, 512)
    bar.close()
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("step", "bar", "words"),
    [
        (750_000, " 50%|", "0.75 M of usually 1.50 M steps, about 3 min left, 4,167 steps/s"),
        (2_000_000, "100%|", "2.00 M steps, more than usual, at most 3 min left, 11,111 steps/s"),
    ],
)
def test_the_bar_on_a_terminal(step: int, bar: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=iter([0.0, 0.0, 180.0]).__next__))
    shown = ProgressBar(replace(RECIPES["corridor"].config, progress=True), 0)
    shown.begin()
    shown.write({}, {}, step)
    shown.close()
    last = screen.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith(bar) and last.endswith(words)
