"""Every script in examples/ runs, with few steps."""

import runpy
from pathlib import Path

import pytest
import torch as th

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SAYS = {  # script: a word of its last line, and files it leaves
    "callbacks": ("best mean return", ["logs/best_model.zip", "logs/cartpole_vecnormalize_2048_steps.pkl"]),
    "custom_env": ("chance 0.50", []),
    "ppo": ("return", ["cartpole.zip"]),
    "predict_loop": ("memories kept per layer", []),
    "recurrent_ppo": ("of 8 episodes", []),
    "vector_env": ("mean return", []),
}
ELSEWHERE = {"zoo"}
"""Tested in test_zoo.py."""


def test_all_examples_are_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS) | ELSEWHERE


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    th.set_num_threads(1)
    text, files = SAYS[name]
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](2048 if name == "callbacks" else 1)
    assert text in capsys.readouterr().out.splitlines()[-1]
    assert [file for file in files if not (tmp_path / file).is_file()] == []
