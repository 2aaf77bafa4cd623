"""examples/plugin, installed as any package is, and used by name; and packages that are broken."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from expirespan.envs import ORACLES
from expirespan.experiments.cli import main
from expirespan.experiments.recipes import RECIPES
from expirespan.experiments.settings import KINDS
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.memory import MEMORIES, make_memory

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
SMALL = shlex.split(
    "--num-envs 4 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 128 --evaluation.episodes 4 "
    "--evaluation.num-envs 2 --evaluation.no-what-if --memory.width 16 --wandb off --no-tensorboard --no-progress"
)
SCRIPT = """
import json, sys
from expirespan.experiments.cli import main
for args in json.loads(sys.argv[1]):
    print("$", *args, flush=True)
    if code := main(args):
        sys.exit(code)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which pip has installed a copy of the example."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(
        EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", folder / "site", folder / "source"], check=True)
    return folder / "site"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """``alone(site)`` installs what is in a folder, for one test."""
    registries: list[dict[str, Any]] = [MEMORIES, RECIPES, KINDS["memory"], ORACLES]
    before = [dict(registry) for registry in registries]
    modules = set(sys.modules)
    yield lambda folder: monkeypatch.syspath_prepend(str(folder))
    for registry, known in zip(registries, before, strict=True):
        for name in registry.keys() - known.keys():
            del registry[name]
    for name in set(sys.modules) - modules:
        if name.startswith("expirespan_example"):
            del sys.modules[name]


def broken(folder: Path, **entries: str) -> Path:
    """A package called ``wreck`` with these entry points, by group, all of them named ``gone`` or ``Gone``."""
    (folder / "wreck-1.dist-info").mkdir(parents=True)
    (folder / "wreck-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wreck\nVersion: 1\n")
    lines = [
        f"[expirespan.{group}]\n{'Gone' if group == 'environments' else 'gone'} = {value}\n"
        for group, value in entries.items()
    ]
    (folder / "wreck-1.dist-info" / "entry_points.txt").write_text("\n".join(lines))
    (folder / "wreck.py").write_text("raise RuntimeError('out of order')\n")
    return folder


@pytest.mark.slow
def test_the_command_line_uses_an_installed_package(site: Path, tmp_path: Path) -> None:
    """A recipe with its environment and a logger; resumed; a rule and a memory in a recipe of ours; scores."""
    recall = [*SMALL, "--loggers", "json_lines", "--total-timesteps", "128"]
    priceless = shlex.split("--forgetting none --penalty constant --target.alive None")
    corridor = ["train", "corridor", *priceless, *SMALL, "--env.max-length", "6", "--total-timesteps", "64"]
    commands = [
        ["train", "recall", *recall],
        ["train", "--resume", "runs/recall", "--total-timesteps", "256"],
        ["evaluate", "runs/recall", "--episodes", "8", "--num-envs", "4"],
        [*corridor, "--memory", "random_spans", "--memory.short", "2"],
        [*corridor, "--memory", "averages", "--runs", "more"],
        ["evaluate", "more/corridor", "--episodes", "4", "--num-envs", "2"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        env=os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "recall").iterdir()
    rows = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    table = read_csv(run / "progress.csv")
    assert [row["step"] for row in rows] == [int(row["time/total_timesteps"]) for row in table]
    pairs = [(row["train/loss"], float(other["train/loss"])) for row, other in zip(rows, table, strict=True)]
    assert len(pairs) >= 4 and all(one == other for one, other in pairs)
    score = json.loads((run / "evaluation.json").read_text())
    assert score["env"] == "Example/Recall-v0" and score["oracle"]["success"] == 1.0
    assert (
        "memory random_spans (layers 2, width 16" in done.stdout
        and "memory averages (width 16" in done.stdout
    )
    assert "TyroWarning" not in done.stderr
    (run,) = (tmp_path / "runs" / "corridor").iterdir()
    assert "short: 2\n" in (run / "config.yaml").read_text()


def test_help_lists_what_packages_add_without_importing_them(
    site: Path, alone: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone(site)
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("recall", "--memory averages", "--env.id Example/...", "--loggers json_lines"):
        assert f"{name:<26}of the package expirespan-example" in shown
    assert "expirespan_example" not in sys.modules
    with pytest.raises(SystemExit) as end:
        main(["train", "corridor", "--memory", "random_spans", "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0 and "--memory.share FLOAT" in shown and "--memory.layers INT" in shown


def test_a_rule_and_a_memory_keep_the_contract(site: Path, alone: Callable[[Path], None]) -> None:
    """Single steps equal one parallel pass, with episodes that begin within it."""
    alone(site)
    torch.manual_seed(0)
    starts = torch.zeros(3, 40, dtype=torch.bool)
    starts[0, 7] = starts[1, 20] = True
    x = torch.randn(3, 40, 16)
    for name, given in (("random_spans", {"short": 3, "long": 20, "heads": 2}), ("averages", {"speeds": 3})):
        memory = make_memory(name, width=16, **given)
        state = memory.initial_state(3)
        whole = memory.unroll(x, state, starts)
        for t in range(40):
            out = memory.step(x[:, t], state, starts[:, t])
            state = out.state
            torch.testing.assert_close(out.y, whole.y[:, t], atol=1e-5, rtol=1e-4)
        again = type(state).from_state_dict(state.state_dict())
        for key, value in whole.state.state_dict().items():
            torch.testing.assert_close(again.state_dict()[key], value, atol=1e-5, rtol=1e-4)


def test_numbers_of_the_example(site: Path, alone: Callable[[Path], None]) -> None:
    """Worked out by hand: two states and a direction; an average at two speeds; the share of random states."""
    alone(site)
    from expirespan_example.memory import Averages, AveragesState
    from expirespan_example.rule import RandomSpans

    rule = RandomSpans(short=4, long=50, share=0.5)  # the threshold is 0
    rule.attach(2)
    rule.direction.copy_(torch.tensor([0.6, -0.8]))
    assert rule.spans(torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])).tolist() == [[50.0, 4.0]]
    rule = RandomSpans(share=0.1)
    rule.attach(32)
    long = (rule.spans(torch.randn(1, 20_000, 32)) == 128).float().mean()
    assert abs(float(long) - 0.1) < 0.01
    memory = Averages(1, speeds=2)
    state = memory.step(
        torch.tensor([[8.0]]), AveragesState(torch.zeros(1, 2, 1)), torch.tensor([True])
    ).state
    assert state.mean_BSD.flatten().tolist() == [4.0, 2.0]
    state = memory.step(torch.tensor([[0.0]]), state, torch.tensor([False])).state
    assert state.mean_BSD.flatten().tolist() == [2.0, 1.5]


@pytest.mark.parametrize(
    ("group", "value", "command", "words"),
    [
        ("recipes", "wreck:RECIPE", "train gone", ["recipe 'gone'", "RuntimeError: out of order"]),
        ("recipes", "math:pi", "train gone", ["math:pi is not an expirespan.experiments.Recipe"]),
        ("memories", "wreck:Memory", "train corridor --memory gone", ["memory 'gone'", "out of order"]),
        ("memories", "math:pi", "train corridor --memory gone", ["subclass of expirespan.memory.Rule or Memory"]),
        ("memories", "math:tau2", "train corridor --memory gone", ["AttributeError"]),
        (
            "memories",
            "expirespan.memory:FixedWindow",
            "train corridor --memory gone",
            ["argument window of FixedWindow needs a type and a default"],
        ),
        ("loggers", "wreck:Logger", "train corridor --loggers gone", ["logger 'gone'", "out of order"]),
        ("environments", "wreck", "train own --env.id Gone/X-v0", ["environment Gone/X-v0", "out of order"]),
    ],
)  # fmt: skip
def test_a_broken_package_is_named_where_it_is_asked_for(
    group: str,
    value: str,
    command: str,
    words: list[str],
    tmp_path: Path,
    alone: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    alone(broken(tmp_path / "site", **{group: value}))
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "of the package wreck cannot be used" in said, said
    assert all(word in said for word in words), said
    assert not (tmp_path / "runs").exists()


def test_a_broken_package_disturbs_no_other_command(
    tmp_path: Path, alone: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone(broken(tmp_path, memories="wreck:M", recipes="wreck:R", environments="wreck", loggers="wreck:L"))
    assert main(["--help"]) == 0 and main(["train", "--help"]) == 0
    assert "gone                      of the package wreck" in capsys.readouterr().out
    assert main(["train", "coridor"]) == 2
    assert "did you mean 'corridor'" in capsys.readouterr().err
    assert make_memory("gru", width=4).width == 4
    with pytest.raises(
        ValueError, match=r"'gone' of the package wreck cannot be used: importing wreck:M failed"
    ):
        make_memory("gone", width=4)
    with pytest.raises(
        ValueError, match=r"unknown memory 'gonne'; choose one of .*gru, gone; the nearest name is gone"
    ):
        make_memory("gonne", width=4)
    assert main(["train", "corridor", "--loggers", "nobody"]) == 2
    assert "unknown logger 'nobody': expected one of gone" in capsys.readouterr().err


def test_a_name_in_two_packages(tmp_path: Path, alone: Callable[[Path], None]) -> None:
    alone(broken(tmp_path, memories="wreck:M"))
    shutil.copytree(tmp_path / "wreck-1.dist-info", tmp_path / "ruin-1.dist-info")
    (tmp_path / "ruin-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ruin\nVersion: 1\n")
    with pytest.raises(
        ValueError, match="'gone' is in more than one package, ruin and wreck: uninstall all but one"
    ):
        make_memory("gone", width=4)
