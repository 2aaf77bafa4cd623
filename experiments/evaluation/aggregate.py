"""Scores over several tasks: interquartile mean and mean, with intervals by a bootstrap stratified by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from expirespan.experiments.evaluation.stats import interquartile_mean

Floats = npt.NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A number for each of K points, and its interval (K,), None where no task has two runs."""

    value: Floats
    low: Floats | None
    high: Floats | None


def stratified(
    tasks: Sequence[npt.ArrayLike],
    statistic: Callable[[Floats], Floats] = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A statistic over the runs of all tasks, with a percentile interval (Agarwal et al. 2021, arXiv 2108.13264).

    Args:
        tasks: for each task the scores of its runs at K points, (runs, K).
        statistic: of all runs together, along the first axis; the interquartile mean unless given.
        confidence: of the interval.
        resamples: sets of runs, drawn with replacement within each task, so that every task keeps its weight; fixed
            seed. The interval says how much other seeds would change, not how much other tasks would. It is too
            narrow for few seeds.

    Raises:
        ValueError: there is no task, or one without runs.
    """
    scores = [np.asarray(task, float) for task in tasks]
    if not scores or any(task.ndim != 2 or len(task) == 0 for task in scores):
        raise ValueError(f"{[task.shape for task in scores]}: expected (runs, points) for at least one task")
    value = np.asarray(statistic(np.concatenate(scores)))
    if max(map(len, scores)) < 2:
        return Estimate(value, None, None)
    generator = np.random.default_rng(0)
    chosen = [generator.integers(len(task), size=(len(task), resamples)) for task in scores]
    drawn = np.concatenate(
        [task[rows] for task, rows in zip(scores, chosen, strict=True)]
    )  # (runs, resamples, K)
    low, high = np.quantile(statistic(drawn), [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return Estimate(value, low, high)


def mean(scores: Floats) -> Floats:
    """Along the first axis, for `stratified`."""
    return np.asarray(scores.mean(0))
