"""What the comparison of costs builds, and that costs follow what is alive."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from expirespan.experiments.bench.costs import Cost, middle, table
from expirespan.experiments.bench.memories import Options, aged, build, measure
from expirespan.experiments.cli import main
from expirespan.experiments.training.process_memory import peak_bytes
from expirespan.memory import ExpireSpan, TransformerMemory, TransformerState

SMALL = Options(reach=(64,), width=16, layers=1, heads=2, rows=2, block=8, repeats=1, device="cpu", kept=0.1)
ALIVE = {"fixed_window": 64, "adaptive_span": 64 + 16, "compressive": 32 + 8}
"""Memories that a step reads at a reach of 64, itself included; of ExpireSpan about (1 - 0.1) 16 + 0.1 (64 + 16)."""


@pytest.mark.parametrize("name", ALIVE)
def test_states_are_as_old_as_they_can_get(name: str) -> None:
    """A state written down at once holds what one reached by steps does, and stays that full."""
    memory = build(name, 64, SMALL)
    none = torch.zeros(2, 128, dtype=torch.bool)
    written = aged(memory, 2, 128, 0.1)
    reached = memory.unroll(torch.randn(2, 128, 16), memory.initial_state(2), none).state
    one, other = (sorted(state.layers[0].birth_BS[0].tolist()) for state in (written, reached))
    assert one == other
    after = memory.unroll(torch.randn(2, 8, 16), written, none[:, :8])
    assert (after.trace.alive[0] - ALIVE[name]).abs().max() <= 1


def test_expire_span_keeps_the_share_asked_for() -> None:
    memory = build("expire_span", 4096, SMALL)
    births = aged(memory, 2, 8192, 0.1).layers[0].birth_BS
    recent = births > 8192 - 16
    assert recent.sum(1).tolist() == [15, 15], "nothing dies before the end of the ramp"
    assert (~recent).sum(1).tolist() == [409, 409], "a tenth of the 4,096 before"


def test_equally_many_may_be_kept_at_every_reach() -> None:
    """100 long-lived states, those still on their ramp, and half of the block: at any reach."""
    options = replace(SMALL, alive=100)
    few, many = (measure("expire_span", reach, options) for reach in (1024, 16384))
    assert few.alive == pytest.approx(many.alive, abs=1)
    assert few.state_mb == pytest.approx(many.state_mb, rel=0.02)
    assert 110 < few.alive < 125


def test_a_case_is_measured() -> None:
    cost = measure("compressive", 64, SMALL)
    assert cost.alive == pytest.approx(40, abs=1)
    assert min(cost.block_ms, cost.step_ms, cost.state_mb) > 0


def test_peaks_are_those_since_the_reset() -> None:
    """A tensor of 64 MiB that came and went before does not count, one of 32 MiB after does."""
    cpu = torch.device("cpu")
    torch.ones(64, 2**18).sum()
    before = peak_bytes(cpu, reset=True)
    torch.ones(32, 2**18).sum()
    assert 24 < (peak_bytes(cpu) - before) / 2**20 < 56


def test_the_median_of_rounds_counts() -> None:
    found = [Cost("compressive", 64, 40, ms, 1, peak, 2) for ms, peak in ((5, 9), (90, 7), (6, 8))]
    assert middle(found) == Cost("compressive", 64, 40, 6, 1, 8, 2)


def test_ratios_are_to_the_fixed_window_at_the_same_reach() -> None:
    costs = [
        Cost("fixed_window", 64, 64, 10, 1, 4, 2),
        Cost("expire_span", 64, 8, 5, 0.5, 1, 0.25),
        Cost("fixed_window", 128, 128, 20, 2, 8, 4),
        Cost("expire_span", 128, 16, 30, 1, 1, 0.5),
    ]
    rows = [row.split(" | ") for row in table(costs).splitlines()[2:]]
    assert [row[4] for row in rows] == ["1.00", "0.50", "1.00", "1.50"]
    assert [row[8] for row in rows] == ["1.00", "0.25", "1.00", "0.12"]


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "costs.json"
    sizes = "--reach 16 32 --width 8 --heads 2 --layers 1 --rows 1 --block 4 --repeats 1 --device cpu"
    sizes += " --memories fixed_window"
    assert main(["bench", "memories", *sizes.split(), "--output", str(output)]) == 0
    assert "| fixed_window | 32 |" in capsys.readouterr().out
    assert [cost["reach"] for cost in json.loads(output.read_text())["rows"]] == [16, 32]
    assert output.with_suffix(".png").stat().st_size > 1000
    assert main(["bench", "memories", "--reach", "17"]) == 2
    assert "expected multiples of 8" in capsys.readouterr().err
    assert main(["bench", "memories", "--memories", "fixed_windows"]) == 2
    assert "did you mean 'fixed_window'" in capsys.readouterr().err
    assert main(["bench", "memories", "--reach", "64", "128", "--alive", "64"]) == 2
    assert "expected from 1 to less than the shortest reach, 64" in capsys.readouterr().err


# Long memories ------------------------------------------------------------------------------------


def with_spans(max_span: float, span: float) -> TransformerMemory:
    """A memory whose spans are all ``span``, whatever the longest could be."""
    torch.manual_seed(0)
    memory = TransformerMemory(16, layers=2, heads=2, rule=ExpireSpan(max_span, ramp=16))
    for rule in memory.rules:
        assert isinstance(rule, ExpireSpan)
        rule.predictor.bias.data.fill_(torch.logit(torch.tensor(span / max_span, dtype=torch.float64)))
    return memory


def test_memory_follows_what_is_alive_and_not_the_longest_span() -> None:
    """Spans of 100.5 under L = 16,384 and 131,072: equally many alive, and equal bytes, after acting and learning."""
    none = torch.zeros(2, 64, dtype=torch.bool)
    found = []
    for max_span in (16_384, 131_072):
        memory = with_spans(max_span, 100.5)
        state: TransformerState = memory.initial_state(2)
        torch.manual_seed(1)
        for _ in range(5):
            out = memory.unroll(torch.randn(2, 64, 16), state, none)
            state = out.state.detach()
        learned = state.nbytes
        for _ in range(40):
            state = memory.step(torch.randn(2, 16), state, none[:, 0]).state
        found.append((out.trace.alive[1][:, -1].tolist(), learned, state.nbytes))
    assert found[0] == found[1]
    assert found[0][0] == [117, 117], "ages up to 116 < 100.5 + 16"
