"""The page of `expirespan compare` in a real browser: its table shows every column on a screen of 1280 pixels."""

from __future__ import annotations

from typing import Any

import pytest

from expirespan.experiments.evaluation.compare import Comparison, Group
from expirespan.experiments.pictures.comparison_report import COLUMNS, page
from expirespan.experiments.viewer.browser import opened


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_no_column_is_cut_off(write: Any, width: int) -> None:
    """Eight seeds and long labels, the most that the documentation compares."""
    scores = [0.123456 * i for i in range(1, 9)]
    group = Group(
        label="memory.max_span=16384, forgetting.tolerance=0.05, penalty.coef=0.0125",
        memory="adaptive_span", scores=scores, mean=0.654, interval=(0.612, 0.701), alive=1234.5,
        steps=123_456_789, recall=0.98, saved=0.955, curve=None,
    )  # fmt: skip
    html = page(Comparison([group] * 3, "success", {"name": "ExpireSpan/Corridor-v0"}), {})
    with opened(write(html), width, ready="document.readyState === 'complete'") as browser:
        tab = browser.page
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        room, needed = tab.evaluate("(e => [e.clientWidth, e.scrollWidth])(document.querySelector('.wide'))")
        assert tab.locator("th").count() == len(COLUMNS)
        if width == 1280:
            assert needed <= room
        else:
            assert needed > room, "on a telephone the table scrolls, the page does not"
