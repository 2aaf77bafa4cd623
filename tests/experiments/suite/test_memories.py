"""Every memory of a suite trains, is evaluated and is logged, those without an end of their reach included."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.suite.grid import SuiteGrid, suite_trials
from expirespan.experiments.suite.memories import NAMES
from expirespan.experiments.training.train import train

SHORT = ("--num-envs", "8", "--algorithm.n-steps", "16", "--algorithm.batch-size", "64", "--memory.width", "16",
         "--evaluation.episodes", "8", "--wandb", "off", "--standardize", "0")  # fmt: skip


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize("memory", NAMES)
def test_every_memory_trains(
    memory: str, tmp_path: Path, logs_of: Callable[[Run], Iterator[list[dict[str, Any]]]]
) -> None:
    (trial,) = suite_trials(SuiteGrid("own", ("tmaze",), (memory,), (0,), 512, SHORT), tmp_path)
    run = train(trial.config).run
    rows, logged, *_ = logs_of(run)
    assert [row["step"] for row in rows][-1] == 512
    assert math.isfinite(float(logged[-1]["train/loss"]))
    assert ("expire/layer0/alive" in logged[-1]) == (memory not in ("gru", "lstm"))
    assert ("expire/layer0/span_mean" in logged[-1]) == (memory not in ("gru", "lstm", "keep_all"))
