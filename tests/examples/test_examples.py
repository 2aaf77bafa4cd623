"""Every script in examples/ runs, with few steps."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch as th

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SAYS = {  # script: a word of its last line, and files it leaves
    "callbacks": ("best mean return", ["logs/best_model.zip", "logs/cartpole_vecnormalize_2048_steps.pkl"]),
    "custom_env": ("chance 0.50", []),
    "ppo": ("return", ["cartpole.zip"]),
    "deploy": ("solved 16 of 16 corridors", []),
    "predict_loop": ("memories kept per layer", []),
    "recurrent_ppo": ("of 8 episodes", []),
    "vector_env": ("mean return", []),
    "workers": ("workers: 1, steps of all", ["workers.zip"]),
}
ELSEWHERE = {"zoo", "deploy_onnx"}
"""Tested in test_zoo.py, and below in a process of its own."""


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


WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None  # importing it raises
runpy.run_path(sys.argv[1])["main"](1)
"""


@pytest.mark.slow
def test_the_graph_of_deploy_onnx_runs_where_there_is_no_torch(tmp_path, monkeypatch):
    """The file is written here, and played in a process that cannot import torch."""
    monkeypatch.chdir(tmp_path)
    script = str(EXAMPLES / "deploy_onnx.py")
    runpy.run_path(script)["write"]()
    command = [sys.executable, "-c", WITHOUT_TORCH, script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "solved 16 of 16 corridors; steps with too little capacity: 0" in done.stdout
    (tmp_path / "policy.onnx").unlink()
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "import of torch halted" in failed.stderr  # so the first one did without
