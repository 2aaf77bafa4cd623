from __future__ import annotations

import numpy as np
import pytest

from expirespan.experiments.evaluation.stats import mean_interval, wilson


def test_wilson_by_hand() -> None:
    # Newcombe 1998, table I: 81 of 263 and 15 of 148
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_wilson_at_the_ends() -> None:
    z2 = 1.959964**2
    assert wilson(10, 10) == pytest.approx((10 / (10 + z2), 1.0), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0.0, z2 / (10 + z2)), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3"):
        wilson(3, 2)


def test_t_interval_by_hand() -> None:
    # mean 2, standard error 1 / sqrt(3), t(2) at 97.5 % is 4.302653
    half = 4.302653 / np.sqrt(3)
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - half, 2 + half), abs=1e-5)


def test_bootstrap() -> None:
    low, high = mean_interval(np.arange(101.0).tolist(), method="bootstrap")
    half = 1.96 * np.std(np.arange(101.0)) / np.sqrt(101)
    assert (low, high) == pytest.approx((50 - half, 50 + half), rel=0.03)
    assert mean_interval([1.0, 5.0, 2.0], method="bootstrap") == mean_interval(
        [1.0, 5.0, 2.0], method="bootstrap"
    )


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0])
