"""Confidence intervals of a measured rate, and of a mean over seeds or episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt


class Interval(NamedTuple):
    """Both ends included."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a success rate (Wilson 1927); (0, 1) without trials.

    Unlike p +- z sqrt(p (1 - p) / n) it stays within [0, 1] and is not empty at 0 or n successes.

    Raises:
        ValueError: successes outside 0..trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes={successes!r}: expected 0 to trials={trials!r}")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, scale = successes / trials, 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def mean_interval(
    values: Sequence[float],
    confidence: float = 0.95,
    method: Literal["t", "bootstrap"] = "t",
    resamples: int = 10_000,
) -> Interval:
    """Interval of the mean of independent numbers, such as returns of episodes or one score per seed.

    ``t``: Student's, right for about normal scores and the choice for a handful of seeds. ``bootstrap``:
    percentiles of the means of ``resamples`` drawn with replacement (fixed seed); too narrow for few seeds.

    Raises:
        ValueError: fewer than two values, or another method.
    """
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1 or len(scores) < 2:
        raise ValueError(f"{len(scores)} value(s): an interval of the mean needs at least two")
    if method == "bootstrap":
        drawn = np.random.default_rng(0).choice(scores, (resamples, len(scores))).mean(1)
        low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
        return Interval(float(low), float(high))
    if method != "t":
        raise ValueError(f"method={method!r}: expected 't' or 'bootstrap'")
    from scipy.special import stdtrit  # as scipy.stats.t.ppf, which takes a second to import

    error = float(scores.std(ddof=1)) / math.sqrt(len(scores))
    half = float(stdtrit(len(scores) - 1, 0.5 + confidence / 2)) * error
    return Interval(float(scores.mean()) - half, float(scores.mean()) + half)


def interquartile_mean(values: npt.ArrayLike, axis: int = 0) -> npt.NDArray[np.float64]:
    """Mean without the lowest and the highest quarter (each rounded down), so that three values lose none."""
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(np.asarray(values, float), 0.25, axis=axis))


def interquartile_interval(
    values: npt.ArrayLike, confidence: float = 0.95, resamples: int = 2000
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both ends of the bootstrap interval of the `interquartile_mean` over the first axis: runs, such as one a seed.

    Percentiles of ``resamples`` sets of runs drawn with replacement, fixed seed (Agarwal et al. 2021, arXiv
    2108.13264, for one task); too narrow for few runs.

    Raises:
        ValueError: fewer than two runs.
    """
    runs = np.asarray(values, float)
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run(s): an interval needs at least two")
    from scipy.stats import bootstrap

    found = bootstrap(
        (runs,), lambda drawn, axis: interquartile_mean(drawn, axis), axis=0, vectorized=True, n_resamples=resamples,
        confidence_level=confidence, method="percentile", random_state=np.random.default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    return np.asarray(low), np.asarray(high)
