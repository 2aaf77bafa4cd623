"""What the engines are asked for, before anything runs: what does not fit is one sentence that says what would."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.sweep import running
from expirespan.experiments.sweep.grid import Grid, trials
from expirespan.experiments.sweep.options import EngineOptions
from expirespan.experiments.sweep.running import check_engine, check_prunable

WRONG = {
    "--engine cloud": "unknown engine 'cloud': expected one of local, ray, submitit",
    "--engine raay": "did you mean 'ray'?",
    "--address here:6379": "--address is for --engine ray, and this one is local",
    "--engine submitit --prune": "--prune is for --engine ray, and this one is submitit",
    "--gpus 1": "--gpus is for --engine ray or submitit, and this one is local",
    "--engine ray --slurm partition=gpu": "--slurm is for --engine submitit, and this one is ray",
    "--retries -1": "retries=-1",
    "--engine ray": "--engine ray needs ray, which cannot be imported",
    "--search 4": "search=4: expected how many settings to try, one recipe, and where to search",
    "--search -4 --over memory.ramp 4:8": "search=-4",
    "--search 4 --over memory.ramp 8:4": "--over memory.ramp 8:4: expected LOW:HIGH with LOW below HIGH",
    "--search 4 --over memory.ramb 4:8": "unknown option '--memory.ramb'",
    "--search 4 --over memory.ramp=-4:8": "expected a setting and its values",
    "--search 4 --over memory.ramp -4:8": "memory.ramp=-4",
    "--engine submitit --slurm timeout_min": "slurm='timeout_min': expected NAME=VALUE",
    "--engine submitit --slurm timeout_min=long": "expected a number after timeout_min=",
    "--engine submitit --slurm partitoin=gpu": "did you mean 'partition'?",
    "--engine submitit --gpus 0.5": "Slurm gives whole GPUs",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_does_not_fit_is_one_sentence(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "ray.tune", raising=False)
    assert main(["sweep", "corridor", "--name", "s", *line.split()]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("expirespan: error: ") and output.err.count("\n") == 1, output.err
    assert WRONG[line] in output.err
    assert not output.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "line", "extra"), [
    ("ray", "--engine ray", "sweep"),
    ("submitit", "--engine submitit", "slurm"),
    ("optuna", "--search 4 --over memory.ramp 4:8", "search"),
])  # fmt: skip
def test_a_missing_package_names_its_extra(
    package: str,
    line: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "ray.tune", raising=False)
    assert main(["sweep", "corridor", "--name", "s", *line.split()]) == 2
    error = capsys.readouterr().err
    assert f"pip install 'expirespan[{extra}]'" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where ray is installed, for what is checked before it is used."""
    monkeypatch.setattr(running, "need", lambda package, what: None)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.usefixtures("with_ray")
def test_an_address_answers_or_is_an_error(port: int) -> None:
    check_engine(EngineOptions("ray", address=f"127.0.0.1:{port}"))
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match=r"nothing answers there .*ray start --head"):
            check_engine(EngineOptions("ray", address=f"127.0.0.1:{taken.getsockname()[1]}"))


@pytest.mark.usefixtures("with_ray")
@pytest.mark.parametrize("address", ["here", "here:", ":6379", "here:ray", "here:70000"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UserError, match="expected HOST:PORT"):
        check_engine(EngineOptions("ray", address=address))


def test_pruning_compares_like_with_like(tmp_path: Path) -> None:
    ramps = trials(Grid(("corridor",), (0, 1), (("memory.ramp", ("4", "8")),)), tmp_path)
    check_prunable(ramps)
    for other in (
        trials(Grid(("corridor", "tmaze"), (0,)), tmp_path),
        trials(Grid(("corridor",), (0,), (("env.max-length", ("4", "8")),)), tmp_path),
        trials(Grid(("corridor",), (0,), (("total-timesteps", ("4000", "8000")),)), tmp_path),
    ):
        with pytest.raises(UserError, match="--prune stops trials that do worse"):
            check_prunable(other)


def test_options_as_they_are_typed() -> None:
    assert EngineOptions().words() == ""
    options = EngineOptions("ray", jobs=3, address="h:1", prune=True, gpus=0.5, runs="elsewhere")
    assert options.words() == " --engine ray --jobs 3 --address h:1 --prune --gpus 0.5"
    slurm = replace(EngineOptions("submitit"), slurm=("partition=gpu", "comment=two words"))
    assert slurm.words() == " --engine submitit --slurm partition=gpu 'comment=two words'"
