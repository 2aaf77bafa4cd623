"""Statistics over tasks: by hand, and against the definitions they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from expirespan.experiments.evaluation.aggregate import mean, stratified
from expirespan.experiments.evaluation.stats import interquartile_interval

SCORES = st.floats(-2, 2, allow_nan=False)
TASKS = st.lists(st.lists(SCORES, min_size=1, max_size=5), min_size=1, max_size=5)


def test_by_hand() -> None:
    found = stratified([[[0.0], [1.0]], [[2.0], [11.0]]])
    assert found.value.tolist() == [1.5], "of 0, 1, 2, 11 the middle two"
    assert stratified([[[0.0], [1.0]], [[2.0], [11.0]]], mean).value.tolist() == [3.5]


def test_a_task_keeps_its_weight() -> None:
    """Whatever is drawn, half of the runs are of each task: drawn from all runs, the mean would spread from 0 to 1."""
    found = stratified([[[0.0]] * 4, [[1.0]] * 4], mean)
    assert found.low is not None and found.high is not None
    assert (found.low[0], found.value[0], found.high[0]) == (0.5, 0.5, 0.5)


@given(TASKS)
@settings(max_examples=60)
def test_what_holds_for_all_scores(tasks: list[list[float]]) -> None:
    flat = np.concatenate(tasks)
    found = stratified([np.array(task)[:, None] for task in tasks], resamples=200)
    assert found.value[0] == pytest.approx(trim_mean(flat, 0.25))
    if max(map(len, tasks)) < 2:
        assert found.low is None and found.high is None
        return
    assert found.low is not None and found.high is not None
    assert flat.min() - 1e-12 <= found.low[0] <= found.high[0] <= flat.max() + 1e-12


def test_of_one_task_it_is_the_interval_over_runs() -> None:
    scores = np.random.default_rng(3).normal(size=(12, 2))
    found = stratified([scores], resamples=20_000)
    low, high = interquartile_interval(scores, resamples=20_000)
    assert found.low == pytest.approx(low, abs=0.02) and found.high == pytest.approx(high, abs=0.02)


@pytest.mark.parametrize("tasks", [[], [np.zeros((0, 1))], [np.zeros(3)]])
def test_what_is_no_score(tasks: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="expected"):
        stratified(tasks)
