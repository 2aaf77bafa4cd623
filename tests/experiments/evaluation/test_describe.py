"""Scores as text, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expirespan.experiments.evaluation.describe import between, cells, layers, legend, line, number
from expirespan.experiments.evaluation.evaluate import Score
from expirespan.experiments.evaluation.stats import Interval

SCORE = Score(
    episodes=200, success=0.985, interval=Interval(0.957, 0.995), mean_return=0.985, mean_steps=105.0, alive=[8.6, 9.2],
    alive_at_end=[9.0, 10.4], longest_success=1.0, by_length=[], steps_per_second=1000.0,
    return_interval=Interval(0.96, 1.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.000"),
        (-1.0761, "-1.076"),
        (9.9996, "10.000"),
        (75.7, "75.70"),
        (-184.2, "-184.2"),
        (12345.6, "12,346"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_intervals_read_right_when_negative() -> None:
    assert between((-1.0761, -1.0739)) == "-1.076 to -1.074"
    assert between(Interval(-0.5, 0.25)) == "-0.500 to 0.250"


def test_memories_per_layer() -> None:
    assert layers([9.0, 10.4]) == "9 / 10"
    assert layers([1200.0]) == "1,200"
    assert layers([9, 30, 12, 10]) == "9 to 30", "a row has room for three"


def test_a_row_and_its_headings() -> None:
    found = cells(SCORE)
    assert found == {
        "success": "0.985", "95 % interval": "0.957 to 0.995", "return": "0.985", "longest": "1.000", "alive": "9 / 10"
    }  # fmt: skip
    headings = ("steps", "success", "95 % interval", "alive", "target")
    assert line({name: name for name in headings}, headings) == (
        "     steps  success    95 % interval      alive       target"
    )
    assert line(found | {"steps": "102,400"}, headings) == "   102,400    0.985   0.957 to 0.995     9 / 10"
    assert legend(headings) == "alive: memories per layer at the end of the longest episodes."


def test_without_success_the_return_has_the_interval() -> None:
    found = cells(
        replace(SCORE, success=None, interval=None, longest_success=None, alive_at_end=None, mean_return=-1.075,
                return_interval=Interval(-1.076, -1.074))
    )  # fmt: skip
    assert found == {"return": "-1.075", "return, 95 %": "-1.076 to -1.074"}
