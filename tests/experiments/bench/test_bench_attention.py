"""The check of a kernel finds what is wrong with it; both are timed; where a kernel is missing, it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from expirespan.experiments.bench.attention import OUTPUTS, case, check
from expirespan.experiments.cli import main
from expirespan.experiments.settings.errors import UserError
from expirespan.memory.attention import in_triton, native

built = pytest.mark.skipif(not native.available(), reason="the package was installed without a C compiler")
CPU = torch.device("cpu")
SMALL = "--kernel native --cases 2 --rows 2 --block 8 --heads 2 --head-widths 8 --memories 16 --rounds 1"


@built
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "attention.json"
    assert main(["bench", "attention", *SMALL.split(), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "native on cpu: 2 cases, all equal from run to run" in printed
    assert "| 8 | 16 | all |" in printed and "| 8 | 16 | few |" in printed
    checked, *timed = json.loads(output.read_text())["rows"]
    assert checked["differences"].keys() == set(OUTPUTS)
    assert all(0 <= share <= 1 for share in checked["differences"].values())
    assert [row["readable"] for row in timed] == ["all", "few"]
    assert all(row["kernel_ms"] > 0 and row["plain_ms"] > 0 for row in timed)


@built
@pytest.mark.parametrize("output", range(6))
def test_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, output: int) -> None:
    """A thousandth added to one number of one output; a number that is none."""
    way, place = ("forward", 0) if output == 0 else ("backward", output - 1)
    real = getattr(native, way)
    for error in (1e-3, torch.nan):
        monkeypatch.setattr(native, way, changed(real, place, lambda x, e=error: x.view(-1)[-1].add_(e)))
        with pytest.raises(UserError, match=rf"native: {OUTPUTS[output]} of case 0 .* differs"):
            check("native", CPU, 1)


@built
def test_what_changes_from_run_to_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one bit."""
    calls = []

    def change(x: torch.Tensor) -> None:
        calls.append(x)
        if len(calls) == 2:
            x.copy_(x.nextafter(torch.tensor(torch.inf)))

    monkeypatch.setattr(native, "backward", changed(native.backward, 2, change))
    with pytest.raises(UserError, match=r"dv of case 0 .* is not equal from run to run"):
        check("native", CPU, 1)


def changed(
    real: Callable[..., Any], place: int, change: Callable[[torch.Tensor], object]
) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        found = real(*args)
        change(found[place])
        return found

    return call


def test_cases_cover_what_attention_can_do() -> None:
    """Absent memories, resets, summaries, reaches by head, one query, the widest heads, several blocks of keys."""
    cases = [case(seed) for seed in range(60)]
    assert any((c.sight.place_BK < -1e6).any() for c in cases)
    assert any((c.sight.begin_BT > 0).any() for c in cases)
    assert {c.sight.youngest_BK is None for c in cases} == {True, False}
    assert any(c.reach.shape[1] > 1 for c in cases)
    assert {1, 130} <= {c.q.shape[1] for c in cases}
    assert {8, in_triton.WIDEST} <= {c.q.shape[3] for c in cases}
    assert max(c.k.shape[1] for c in cases) > 8 * in_triton.TILE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--kernel", "triton"],
            "kernel=triton is not to be had here: PyTorch finds no GPU; run this on a machine",
        ),
        (["--head-widths", "129"], "expected at most 128 for triton"),
        (["--memories", "0"], "memories=(0,): expected a tuple, each item an integer of states >= 1"),
        (["--cases", "0"], "cases=0: expected an integer >= 1"),
    ],
)
def test_what_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    monkeypatch.setattr(in_triton, "find_spec", lambda name: "there")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(["bench", "attention", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
