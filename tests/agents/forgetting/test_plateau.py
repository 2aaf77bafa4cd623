"""A price that finds its own target, by numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expirespan.agents import PlateauPenalty

QUICK = {"wait": 0.0, "patience": 30}


def test_no_price_before_progress_has_ended():
    schedule = PlateauPenalty(1.0, **QUICK)
    scores = [-200, -150, -100, -60, -50, -50, -50]
    assert [schedule(10 * i, s) for i, s in enumerate(scores)] == [0] * 7
    assert (schedule.mark, schedule.marked_at) == (-50, 40)
    assert schedule(70, -50) == 1.0 and schedule.target == pytest.approx(-50 - 0.1 * 150)


def test_small_steps_are_no_progress_and_large_ones_are():
    """Of the range of scores so far, 100, a twentieth."""
    schedule = PlateauPenalty(1.0, **QUICK)
    for step, score in [(0, 0), (10, 100), (20, 104), (30, 105.5)]:
        schedule(step, score)
    assert (schedule.mark, schedule.marked_at) == (105.5, 30)


def test_waits_for_a_fraction_of_all_steps():
    schedule = PlateauPenalty(1.0, wait=0.5, patience=0)
    schedule(0, 0.0)
    schedule(1000, 1.0)
    assert schedule(1999, 1.0) == 0 and schedule(2000, 1.0) == 1.0


def test_a_score_that_never_moves_is_no_plateau():
    schedule = PlateauPenalty(1.0, **QUICK)
    assert [schedule(step, 0.0) for step in range(0, 1000, 10)] == [0] * 100


def test_the_price_falls_below_the_own_target_and_the_target_rises_with_the_best():
    schedule = PlateauPenalty(1.0, growth=2.0, decay=0.5, maximum=8.0, **QUICK)
    for step, score in [(0, 0.0), (10, 10.0), (40, 10.0)]:
        schedule(step, score)
    assert schedule.current == 1.0 and schedule.target == 9.0
    assert [schedule(50, s) for s in (9.0, 8.9, 20.0, 17.9, 18.0)] == [2.0, 1.0, 2.0, 1.0, 2.0]
    assert schedule.target == 18.0


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=60), st.floats(0.01, 0.99))
def test_whatever_the_scores(scores, slack):
    """The target lies within the scores seen, and never falls more than they widen."""
    schedule = PlateauPenalty(1.0, slack=slack, wait=0.1, patience=20)
    for i, score in enumerate(scores):
        price = schedule(10 * i, score)
        assert 0 <= price <= 1.0
        if price > 0:
            assert schedule.lowest <= schedule.target <= schedule.best
    if all(score is None for score in scores):
        assert schedule.target == math.inf


@pytest.mark.parametrize("given_", [{"slack": 0}, {"slack": 1}, {"wait": 1}, {"patience": -1}])
def test_bad_settings(given_):
    with pytest.raises(ValueError, match=f"{next(iter(given_))} must be"):
        PlateauPenalty(1.0, **given_)
