"""The grid of a sweep: what is typed, what follows from it, and what is refused before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expirespan.experiments.cli import main
from expirespan.experiments.settings import ExpireSpanSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep.grid import Grid, folder_name, read_seeds, split_over, trials


def test_seeds_by_hand() -> None:
    assert read_seeds(["0:5"]) == (0, 1, 2, 3, 4)
    assert read_seeds(["0", "3", "7"]) == (0, 3, 7)
    assert read_seeds(["9", "2:4"]) == (9, 2, 3)


def test_over_is_taken_out() -> None:
    args = ["--jobs", "2", "--over", "memory.ramp", "4", "8", "--over", "num_envs", "-1", "3", "--name", "s"]
    over, rest = split_over(args)
    assert over == (("memory.ramp", ("4", "8")), ("num-envs", ("-1", "3")))
    assert rest == ["--jobs", "2", "--name", "s"]


def test_a_grid_has_every_combination(tmp_path: Path) -> None:
    over = (("memory.ramp", ("4", "8")), ("normalize-reward", ("true", "false")))
    found = trials(Grid(("corridor", "tmaze"), (0, 3), over, ("--memory.width", "32")), tmp_path / "s")
    assert len(found) == len({trial.name for trial in found}) == 2 * 2 * 2 * 2
    first, last = found[0], found[-1]
    assert (first.recipe, first.seed, first.settings) == (
        "corridor",
        0,
        "memory.ramp=4, normalize-reward=true",
    )
    for trial, ramp, normalize, seed in ((first, 4, True, 0), (last, 8, False, 3)):
        assert isinstance(trial.config.memory, ExpireSpanSettings)
        assert (trial.config.memory.ramp, trial.config.memory.width) == (ramp, 32)
        assert (trial.config.normalize_reward, trial.config.seed) == (normalize, seed)
        assert trial.config.recipe == trial.recipe
    assert first.config.runs == str(tmp_path / "s" / "memory.ramp=4,normalize-reward=true")


def test_kinds_lists_and_numbers_below_zero(tmp_path: Path) -> None:
    over = (
        ("memory", ("lstm", "gru")),
        ("algorithm.net-arch", ("64 32", "16")),
        ("target.mean-return", ("-1.5", "None")),
    )
    found = trials(Grid(("own",), (0,), over, ("--env.id", "CartPole-v1")), tmp_path / "s")
    seen = [(t.config.memory.name, t.config.algorithm.net_arch, t.config.target.mean_return) for t in found]
    assert seen[:3] == [("lstm", (64, 32), -1.5), ("lstm", (64, 32), None), ("lstm", (16,), -1.5)]
    assert seen[-1] == ("gru", (16,), None)


@given(
    st.lists(
        st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=3), min_size=2, max_size=2
    )
)
def test_folder_names_are_names_and_differ(lists: list[list[tuple[str, str]]]) -> None:
    one, other = (tuple(pairs) for pairs in lists)
    for overrides in (one, other):
        name = folder_name(overrides)
        assert "/" not in name and "\0" not in name and name not in (".", "..") and len(name) < 100
    texts = [",".join(f"{key}={value}" for key, value in pairs) for pairs in (one, other)]
    assert (folder_name(one) == folder_name(other)) == (texts[0] == texts[1])


def test_the_same_settings_twice(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"memory.ramp=4 seed 0 and .*memory.ramp=4.0 seed 0 have the same settings"
    ):
        trials(Grid(("corridor",), (0,), (("memory.ramp", ("4", "4.0")),)), tmp_path / "s")


WRONG = {
    "corridr --name s": "unknown recipe 'corridr': did you mean 'corridor'?",
    "corridor --name s --over memory.ramb 4 8": "corridor memory.ramb=4: unknown option '--memory.ramb'",
    "corridor --name s --over memory.ramp 4 x": "corridor memory.ramp=x: ",
    "corridor --name s --over memory.ramp 4 -3": "corridor memory.ramp=-3: memory.ramp=-3",
    "corridor --name s --over memory lstm expire_span --over memory.ramp 4 8": "corridor memory=lstm memory.ramp=4: ",
    "corridor --name s --over memory.ramp": "--over memory.ramp: expected a setting and its values",
    "corridor --name s --over": "expected a setting and its values",
    "corridor --name s --over=memory.ramp 4": "write --over KEY VALUE",
    "corridor --name s --over memory.ramp 4 4": "'4' is there twice",
    "corridor --name s --over memory.ramp 4 --over memory.ramp 8": "--over memory.ramp is there twice",
    "corridor --name s --over seed 1 2": "--seeds gives the seeds",
    "corridor --name s -- --runs elsewhere": "--runs after --: the sweep sets it itself",
    "corridor --name s -- --seed 3": "--seed after --: the sweep sets it itself",
    "corridor --name s -- --resume runs/corridor": "--resume after --",
    "corridor --name s -- --help": "--help after --",
    "corridor --name s --over memory.ramp 4 8 -- --memory.ramp 3": "also given after --",
    "corridor --name s -- --memory.widht 3": "unknown option '--memory.widht': did you mean --memory.width?",
    "corridor --name s --seeds": "seeds",
    "corridor --name s --seeds 5:5": "has no seed",
    "corridor --name s --seeds 0:x": "seeds='0:x': expected numbers",
    "corridor --name s --seeds 1.5": "seeds='1.5': expected numbers",
    "corridor --name s --seeds 0:3 1": "1 is there twice",
    "corridor corridor --name s": "recipe 'corridor' is there twice",
    "corridor": "--name is missing",
    "corridor --name a/b": "expected a name without /",
    "corridor --name ..": "name='..'",
    "corridor --name s --jobs -2": "jobs=-2",
    "corridor --name s --engine cloud": "engine",
    "--name s corridor": "'--name' is no recipe",
    "own --name s": "env.id='': expected the id of your environment",
    "own --name s -- --env.id no_such_module:MyEnv-v0": "importing 'no_such_module' failed",
    "own --name s --over env.id CartPole-v1 popgym-RepeatFirstEasy-v0": "pip install popgym",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_does_not_fit_is_one_sentence(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "popgym", None)  # as where it is not installed
    assert main(["sweep", *line.split()]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("expirespan: error: ") and output.err.count("\n") == 1, output.err
    assert WRONG[line] in output.err
    assert not output.out and not list(tmp_path.iterdir())
