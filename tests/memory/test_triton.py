"""Attention in Triton: `on_triton.py` in a separate process, compilation for GPUs, and what is said without either.

Triton decides once per process whether it interprets its programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from expirespan.memory import FixedWindow, TransformerMemory
from expirespan.memory.attention import choose_kernel, in_triton, native

installed = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@installed
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_it_computes_what_pytorch_does(which: str) -> None:
    cases = Path(__file__).with_name("on_triton.py")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    if not torch.cuda.is_available():
        env["TRITON_INTERPRET"] = "1"
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-m", which, cases]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@installed
@pytest.mark.slow
@pytest.mark.parametrize("kind", [80, 90])
@pytest.mark.parametrize("d", [16, in_triton.WIDEST])
def test_it_compiles_without_a_gpu(kind: int, d: int, tmp_path: Path) -> None:
    """To machine code of NVIDIA's A100 (80) and H100 (90), within the shared memory of smaller ones."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env["TRITON_CACHE_DIR"] = str(tmp_path)
    command = [sys.executable, Path(__file__).with_name("compile_triton.py"), str(kind), str(d)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("spec", "reason"),
    [(None, r"Triton is not installed \(it comes with"), ("there", "PyTorch finds no GPU")],
)
def test_asking_for_it_where_it_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch, spec: str | None, reason: str
) -> None:
    monkeypatch.setattr(in_triton, "find_spec", lambda name: spec)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=f"attention='triton' is not to be had here: {reason}"):
        TransformerMemory(8, heads=2, rule=FixedWindow(4), attention="triton")
    assert in_triton.version() == ""


def test_it_must_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_triton, "why_not", lambda: "")
    assert choose_kernel("triton") == "triton"
    assert choose_kernel("auto") == ("native" if native.available() else "plain")
