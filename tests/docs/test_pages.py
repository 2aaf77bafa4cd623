"""Every code block and command of README and docs is run, on small settings, or at least understood.

Blocks that cannot run stand below ``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import Block, blocks, commands, inline

from expirespan.agents import MemoryPPO
from expirespan.experiments.bench import BENCHES
from expirespan.experiments.cli import COMMANDS, main
from expirespan.experiments.settings.passed_on import split_passed_on
from expirespan.memory import MEMORIES

TRAIN = shlex.split(
    "--num-envs 4 --total-timesteps 256 --algorithm.n-steps 16 --algorithm.batch-size 32 --evaluation.every 256 "
    "--evaluation.episodes 4 --evaluation.num-envs 2 --memory.width 16 --wandb off --no-tensorboard --no-progress"
)
SEQUENCE = shlex.split(
    "--rows 2 --block 8 --updates 2 --warmup 1 --evaluation-steps 64 --evaluation-rows 2 --memory.width 16 "
    "--wandb off --no-tensorboard --no-progress"
)
SHELL = [block for block in blocks() if block.language in ("", "bash")]
PYTHON = [block for block in blocks() if block.language == "python"]
SMALLER = ((r"\b300_000\b", "2048"), (r"\b100_000\b", "256"), (r"\btotal\b(?! *=)", "256"))
"""What is written for people, and what is run."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    folder = tmp_path_factory.mktemp("work")
    assert main(["train", "corridor", "--env.max-length", "8", "--runs", str(folder / "runs"), *TRAIN]) == 0
    return next((folder / "runs" / "corridor").iterdir())


@pytest.fixture(scope="module")
def maze(made: Path) -> Path:
    """A small run in T-mazes, beside it."""
    assert main(["train", "tmaze", "--runs", str(made.parents[1]), *TRAIN]) == 0
    return next((made.parents[1] / "tmaze").iterdir())


@pytest.fixture
def a_run(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run, in whose folder of folders the commands are given."""
    monkeypatch.chdir(made.parents[2])
    return made


def takes_long(block: Block) -> bool:
    """Whether it trains, or makes a graph."""
    if block.language == "python":
        return "onnx" in block.text or ".learn(" in block.text
    return any(args[0] in ("train", "sweep", "suite", "export") for args in commands(block.text))


def cases(blocks: list[Block]) -> list[Any]:
    """Those that are run."""
    return [
        pytest.param(block, marks=[pytest.mark.slow] * takes_long(block))
        for block in blocks
        if block.reason is None
    ]


@pytest.mark.parametrize("block", cases(SHELL), ids=str)
def test_shell_blocks(block: Block, a_run: Path, maze: Path) -> None:
    """Each command of a block, on a run of a few steps."""
    found = list(commands(block.text))
    assert found, "a block of shell without a command of ours: say why it is not run"
    for args in found:
        run = maze if "--corridors" in args else a_run
        args = [
            {"RUN": str(run), "OTHER-RUN": str(maze), "N": "2", "10000": "20", "L": "64"}.get(word, word)
            for word in args
        ]
        if args[0] not in ("sweep", "suite"):
            args = [re.sub(r"^runs/[a-z0-9-]+$", partial(_place, run), word) for word in args]
        if args[0] == "train":
            args = [*args, "--runs", "runs", *TRAIN]
        if args[0] in ("sweep", "suite"):
            args = [{"0:3": "0", "20": "2"}.get(word, word) for word in args]
            args = [*args, *([] if "--" in args else ["--"]), *TRAIN]
        if args[0] == "sequence":
            args = [*args, *SEQUENCE, "--runs", "runs"]
        if args[0] == "evaluate":
            args = [*args, "--episodes", "2", "--num-envs", "2"]
            (a_run.parents[2] / "docs" / "results" / "tmaze").mkdir(parents=True, exist_ok=True)
        if "--open" in args:
            args.remove("--open")
        assert main(args) == 0, args


def _place(run: Path, word: re.Match[str]) -> str:
    """The run, in the place of a folder that is none of a sweep."""
    return word[0] if (Path(word[0]) / "plan.json").exists() else str(run)


@pytest.fixture(autouse=True)
def memories() -> Iterator[None]:
    """What a page registers is gone after it."""
    before = dict(MEMORIES)
    yield
    MEMORIES.clear()
    MEMORIES.update(before)


@pytest.mark.parametrize("block", cases(PYTHON), ids=str)
def test_python_blocks(block: Block, a_run: Path) -> None:
    """Each block in a namespace with the names that its text takes for granted."""
    text = block.text
    for pattern, value in SMALLER:
        text = re.sub(pattern, value, text)
    env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=2, max_length=6)
    known: dict[str, Any] = {"env": env, "np": np, "MemoryPPO": MemoryPPO, "callback": None}
    if "vec_env" in text and "vec_env =" not in text:
        agent = MemoryPPO("MlpPolicy", env, n_steps=16, batch_size=32)
        known |= {"vec_env": agent.get_env(), "model": agent}
        known |= {"obs": agent.get_env().reset(), "state": None, "starts": np.ones(2, bool)}  # type: ignore[union-attr]
    if "MemoryPPO.load" in text:
        MemoryPPO("MlpPolicy", env, n_steps=16, batch_size=32).learn(128).save("agent")
    if "EpisodeTrace.load" in text:
        assert main(["evaluate", str(a_run), "--episodes", "2", "--num-envs", "2"]) == 0
        known["path"] = a_run / "traces" / "evaluation.npz"
        text = text.replace("alive_at(100)", "alive_at(2)")
    if "policy.zip" in text or "policy.onnx" in text:
        format = "onnx" if "policy.onnx" in text else "policy"
        output = "policy.onnx" if format == "onnx" else "policy.zip"
        assert main(["export", str(a_run), "--format", format, "--output", output]) == 0
    if "import onnxruntime" in text:  # where importing torch raises
        alone = 'import sys; sys.modules["torch"] = None\n' + text
        subprocess.run([sys.executable, "-c", alone], check=True)
        return
    if "action, state = model.predict(obs, state=state, episode_start=starts)" in text:
        known |= {"obs": env.reset()[0], "state": None, "starts": np.ones(2, bool)}
    exec(compile(text, str(block), "exec"), known)


def understood(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command line takes these arguments: with --help at their end it prints its help instead of running.

    What stands after ``--`` is for the trainings, and a form.
    """
    own, _ = split_passed_on(args)
    with pytest.raises(SystemExit) as end:
        sys.exit(main([*own, "--help"]))
    output = capsys.readouterr()
    assert end.value.code in (0, None), output.err


@pytest.mark.parametrize(("page", "command"), sorted(set(inline())), ids=lambda value: str(value)[:60])
def test_commands_in_the_text(
    page: str, command: str, a_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command.removeprefix(".venv/bin/").removeprefix("python -m "))
    if words[0] != "expirespan":
        assert importlib.util.find_spec(words[0]) is not None, f"{page}: {command}"
        return
    del words[0]
    if not words:
        return
    assert words[0] in COMMANDS, f"{page}: {command}"
    values = {
        "RUN": str(a_run),
        "S": "1",
        "N": "8",
        "NAME": "fixed_window",
        "FILE.json": "file.json",
        "FILE": "file.json",
    }
    args = [values.get(word, word) for word in words]
    if args[0] == "bench" and len(args) > 1:
        assert args[1] in BENCHES
        args = ["learning" if word == "fixed_window" and args[1] == "learning" else word for word in args]
        args = ["cartpole" if word == "learning" and i > 1 else word for i, word in enumerate(args)]
    if args[0] in ("compare", "view") or "..." in args or "RECIPE" in args or "TASK" in args:
        return  # paths of results, or a form for others to fill in
    if args[1:] == ["--tables"]:
        return  # it writes README and docs; tests/experiments/reproduce runs it elsewhere
    if args[1:2] == ["--resume"] or args[:2] == ["sequence", "--evaluate"]:
        return  # a form: the run is to be filled in
    understood(args, capsys)


def test_reasons_are_reasons() -> None:
    assert all(len(block.reason) > 20 for block in blocks() if block.reason is not None)
    assert sum(block.reason is None for block in blocks()) > 8
