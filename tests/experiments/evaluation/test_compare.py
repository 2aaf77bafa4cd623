from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expirespan.experiments.cli import main
from expirespan.experiments.evaluation.compare import compare, read_results
from expirespan.experiments.evaluation.stats import interquartile_interval, interquartile_mean
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    GRUSettings,
    GymSettings,
    LSTMSettings,
    PortalSettings,
)
from expirespan.experiments.settings.errors import UserError


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean([0, 1, 2, 9]) == 1.5
    assert interquartile_mean([5, 1, 3]) == 3, "a quarter of three, rounded down, is none"
    assert interquartile_mean([[0, 1, 2, 9], [1, 1, 1, 1]], axis=1).tolist() == [1.5, 1]


def test_interval_of_two_runs_is_what_they_reached() -> None:
    # of four equally likely draws with replacement one is (0, 0) and one (1, 1)
    low, high = interquartile_interval([[0.0, 3.0], [1.0, 3.0]])
    assert low.tolist() == [0, 3] and high.tolist() == [1, 3]
    many = np.random.default_rng(0).normal(size=400)
    low, high = interquartile_interval(many)
    assert low < interquartile_mean(many) < high
    # the 25 % trimmed mean has a variance of 1.19 / n under a normal distribution (Andrews et al. 1972)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(1.19 / 400), rel=0.15)
    with pytest.raises(ValueError, match="at least two"):
        interquartile_interval([1.0])


def evaluation(step: int, success: float | None, alive: float | None, **more: Any) -> dict[str, Any]:
    kept = None if alive is None else [alive, alive]
    return {"step": step, "success": success, "mean_return": 0.25, "alive_at_end": kept, **more}


@pytest.fixture
def make_run(tiny: Config) -> Any:
    def make(evaluations: list[dict[str, Any]], **settings: Any) -> Path:
        run = Run.create(replace(tiny, **settings))
        for entry in evaluations:
            run.add_evaluation(entry)
        return run.folder

    return make


WINDOW = FixedWindowSettings(window=64)


def test_groups_and_numbers_by_hand(make_run: Any) -> None:
    recall = {"recall": 0.5, "precision": 0.1}
    for seed, last in enumerate((0.7, 0.8, 0.9, 1.0)):
        make_run(
            [evaluation(100, 0.1, 30), evaluation(200, last, 16, retention=recall)],
            recipe="ours", seed=seed, total_timesteps=seed + 1,
        )  # fmt: skip
    folders = [make_run([evaluation(100, 0.4, 8)], recipe="window", memory=FixedWindowSettings(window=8))]
    folders += [make_run([evaluation(100, s, 64)], recipe="window", memory=WINDOW, seed=s) for s in (0, 1)]
    folders += [
        make_run([evaluation(100, 0.9, 128)], recipe="window", memory=FixedWindowSettings(window=128))
    ]
    folders += [make_run([evaluation(100, 0.5, None)], recipe="lstm", memory=LSTMSettings())]
    ours = folders[0].parent.parent / "ours"
    found = compare(read_results([ours, *folders]))
    assert found.measure == "success"
    by_name = {group.label: group for group in found.groups}
    assert list(by_name) == [
        "window, memory.window=8", "ours", "window, memory.window=64", "window, memory.window=128", "lstm",
    ], "fewest memories first"  # fmt: skip
    group = by_name["ours"]
    assert group.scores == [0.7, 0.8, 0.9, 1.0] and group.mean == pytest.approx(0.85)
    assert group.interval is not None and 0.7 <= group.interval.low < 0.85 < group.interval.high <= 1
    assert (group.alive, group.recall, group.steps) == (16, 0.5, 200)
    assert group.saved == pytest.approx(1 - 16 / 128), "the window of 64 has a mean of 0.5"
    assert by_name["window, memory.window=64"].saved is None
    assert by_name["lstm"].saved is None and by_name["lstm"].interval is None
    curve = group.curve
    assert curve is not None and curve.steps.tolist() == [100, 200]
    assert curve.mean == pytest.approx([0.1, 0.85])


def test_runs_that_ended_count_with_their_last_evaluation(make_run: Any) -> None:
    a = make_run([evaluation(100, 0.0, 8), evaluation(200, 1.0, 8)])
    b = make_run([evaluation(150, 0.5, 8), evaluation(300, 0.6, 8)], seed=1)
    (group,) = compare(read_results([a, b])).groups
    assert group.curve is not None
    assert group.curve.steps.tolist() == [150, 200, 300], "before 150 one of them has no score"
    assert group.curve.mean == pytest.approx([0.25, 0.75, 0.8])
    assert group.scores == [1.0, 0.6]


def test_returns_where_success_is_not_told(make_run: Any) -> None:
    folder = make_run([evaluation(100, None, 8)])
    found = compare(read_results([folder]))
    assert (found.measure, found.groups[0].scores) == ("return", [0.25])


def test_command(make_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [evaluation(100, 0.5, 20), evaluation(200, 0.75, 10)]
    folders = [make_run(entries, seed=seed, recipe="<b>ours") for seed in (0, 1)]
    folders.append(make_run(entries[:1], recipe="window", memory=WINDOW))
    output = tmp_path / "new" / "comparison"
    assert main(["compare", *map(str, folders), "--output", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ExpireSpan/Corridor-v0 (min_length 3, max_length 4")
    assert any("| 0.750 | 0.750 to 0.750 | 0.750, 0.750 |" in line for line in lines)
    assert lines[-4:] == [
        str(output / f"{name}") for name in ("memory.png", "learning.png", "compare.json", "compare.html")
    ]
    for name in ("memory", "learning"):
        with Image.open(output / f"{name}.png") as picture:
            assert picture.size == (1040, 650)
    text = (output / "compare.html").read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "<b>ours" not in text and "&lt;b&gt;ours" in text, "names are texts"
    assert "http" not in text, "nothing is fetched"
    found = json.loads((output / "compare.json").read_text())
    assert found["groups"][0]["curve"]["steps"] == [100, 200]

    assert main(["compare", str(folders[2]), "--output", str(output)]) == 0
    assert not (output / "learning.png").exists(), "a single evaluation is no curve"


def test_files_of_evaluations(tmp_path: Path) -> None:
    def write(name: str, success: float, alive: float) -> Path:
        file = {
            "env": "E", "settings": {"n": 3}, "trained_steps": 5, "agent": evaluation(0, success, alive)
        }  # fmt: skip
        (tmp_path / name).write_text(json.dumps(file))
        return tmp_path / name

    paths = [
        write("ours-seed0.json", 1.0, 10),
        write("ours-seed1.json", 0.5, 10),
        write("window9.json", 0.8, 40),
    ]
    found = compare(read_results(paths))
    assert [(group.label, group.scores) for group in found.groups] == [
        ("ours", [1.0, 0.5]),
        ("window9", [0.8]),
    ]
    assert found.groups[0].saved == 0.75
    assert found.title == "E (n 3)"
    assert found.groups[0].curve is None


WRAPPED = GymSettings("CartPole-v1", wrappers=("gymnasium.wrappers.FlattenObservation",), kwargs={"a": [1]})
STACKED = PortalSettings(rooms=3, frame_stack=2)


@pytest.mark.parametrize("env", [CorridorSettings(3, 4), STACKED, WRAPPED], ids=lambda env: env.gym_id)
def test_a_run_beside_a_file_of_its_world_and_of_another(env: Any, make_run: Any, tmp_path: Path) -> None:
    run = make_run([evaluation(100, 0.5, 20)], eval_env=env)
    for played, same in ((env, True), (replace(STACKED, frame_stack=3), False), (GymSettings("Else"), False)):
        file = {"env": played.gym_id, "settings": played.played, "trained_steps": 5}
        (tmp_path / "a.json").write_text(json.dumps(file | {"agent": evaluation(0, 1.0, 9)}))
        if same:
            assert len(compare(read_results([run, tmp_path / "a.json"])).groups) == 2
        else:
            with pytest.raises(UserError, match="different environments"):
                read_results([run, tmp_path / "a.json"])


def test_an_evaluation_of_which_no_episode_ended_has_no_success(make_run: Any) -> None:
    (group,) = compare(read_results([make_run([evaluation(1, None, 20), evaluation(2, 0.5, 9)])])).groups
    assert group.curve is not None and group.curve.mean.tolist() == [0.0, 0.5]


def test_mistakes(make_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_run([evaluation(100, 0.5, 20)])
    other = make_run([evaluation(100, 0.5, 20)], eval_env=CorridorSettings(3, 9))
    fresh = make_run([])
    broken = tmp_path / "broken.json"
    broken.write_text('{"env": 3}')
    empty = tmp_path / "empty"
    empty.mkdir()
    for args, words in (
        ([good, fresh], [str(fresh), "has no evaluation yet", "--evaluation.every"]),
        ([good, other], ["different environments", "max_length 4 and 9", "expirespan evaluate"]),
        ([good, empty], [str(empty), "is no run", "config.yaml"]),
        ([good, tmp_path / "none"], ["is no run"]),
        ([good, broken], [str(broken), "is no evaluation", "expirespan evaluate RUN"]),
        (["--output", "x"], ["'--output'", "come first"]),
        ([good, "--outptu", "x"], ["did you mean --output"]),
    ):
        assert main(["compare", *map(str, args)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        for word in words:
            assert word in message, message


def test_groups_of_other_memories_are_told_apart(make_run: Any) -> None:
    entries = [evaluation(100, 0.5, 20)]
    folders = [make_run(entries, memory=ExpireSpanSettings(max_span=span)) for span in (32, 64)]
    folders.append(make_run(entries, memory=ExpireSpanSettings(max_span=32), device="cpu", checkpoints=9))
    found = compare(read_results(folders))
    assert {group.label: len(group.scores) for group in found.groups} == {
        "tiny, memory.max_span=32": 2,
        "tiny, memory.max_span=64": 1,
    }


def test_labels_name_a_memory_once_if_that_is_what_differs(make_run: Any) -> None:
    entries = [evaluation(100, 0.5, 20)]
    memories = [GRUSettings(), FixedWindowSettings(layers=1), LSTMSettings()]
    found = compare(read_results([make_run(entries, memory=memory) for memory in memories]))
    assert {group.label for group in found.groups} == {
        "tiny, memory.name=gru", "tiny, memory.name=fixed_window", "tiny, memory.name=lstm",
    }  # fmt: skip
