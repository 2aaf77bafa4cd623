"""A short reproduction: one seed of the T-maze, and of corridors of 3-20 cells, to the target and beyond.

What is claimed of long runs must hold here: nothing that was learned is lost as memory becomes short.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from expirespan.experiments.reproduce.claims import CLAIMS, Claim, Measure
from expirespan.experiments.reproduce.outcome import shortcomings
from expirespan.experiments.reproduce.runner import Runner

OFTEN = ("--evaluation.every", "50000", "--target.hold", "100000")
SHORT = {
    "tmaze": Claim(("tmaze", *OFTEN), CLAIMS["tmaze"].measures, least=0.98, slack=0.005, alive=8),
    "corridor": Claim(
        ("corridor", *OFTEN, "--env.max-length", "20", "--memory.max-span", "64", "--target.alive", "17"),
        (Measure("3-20 cells"), Measure("200 cells", ("--max-length", "200", "--max-span", "1024"))),
        least=0.98,
        slack=0.005,
        alive=17,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", SHORT)
def test_a_claim_holds(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLAIMS, task, SHORT[task])
    outcome = Runner(tmp_path, tmp_path).outcome(task, seed=7 if task == "tmaze" else 0)
    assert shortcomings(SHORT[task], outcome) == []
    assert outcome.target is not None and outcome.target <= 1_200_000
