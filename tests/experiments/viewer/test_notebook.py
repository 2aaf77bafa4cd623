"""An episode in a notebook: what is shown, and that the page works in its frame."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from expirespan.experiments.viewer import EpisodeView, viewer_page
from expirespan.experiments.viewer.browser import opened


def test_the_frame_holds_the_page(random_trace: Any) -> None:
    trace = random_trace(40)
    shown = EpisodeView(trace, "<b>my & run</b>", height=321)._repr_html_()
    found = re.fullmatch(
        r'<p>(.*?)</p><iframe sandbox="allow-scripts" srcdoc="([^"]*)" title="([^"]*)" style="[^"]*321px[^"]*">'
        r"</iframe>",
        shown,
        re.S,
    )
    assert found is not None
    assert html.unescape(found[2]) == viewer_page([trace], "<b>my & run</b>")
    assert html.unescape(found[3]) == "<b>my & run</b>"
    assert found[1].startswith("The agent keeps")


def test_traces_say_little_of_themselves(random_trace: Any) -> None:
    trace = random_trace(40, L=2)
    kept = trace.kept.sum(1)
    expected = (
        f"Random-v0, 40 steps, success, return {trace.reward.sum():.4g}, layer 1 keeps {kept[0]}, layer 2"
    )
    assert trace.summary == f"{expected} keeps {kept[1]}"
    assert (
        repr(trace) == f"<EpisodeTrace: {trace.summary}; expirespan.experiments.viewer.EpisodeView shows it>"
    )
    assert EpisodeView([trace, trace]).title == trace.summary
    assert repr(EpisodeView([trace, trace])).count("<EpisodeTrace") == 2


def test_without_spans_there_is_no_sentence(random_trace: Any) -> None:
    assert EpisodeView(random_trace(10, L=0))._repr_html_().startswith("<iframe")


def test_what_cannot_be_shown(random_trace: Any) -> None:
    with pytest.raises(ValueError, match="at least one trace, got none"):
        EpisodeView([])
    with pytest.raises(ValueError, match="height must be a number of pixels >= 1, got 0"):
        EpisodeView(random_trace(10), height=0)


def test_the_page_works_in_its_frame(random_trace: Any, chromium: str, tmp_path: Path) -> None:
    """It starts, moves, and neither complains nor reaches the network."""
    path = tmp_path / "notebook.html"
    shown = EpisodeView(random_trace(30))._repr_html_()
    path.write_text(f"<!doctype html><meta charset=utf-8><body data-ready=1>{shown}", encoding="utf-8")
    with opened(path) as browser:
        frame = browser.page.frame_locator("iframe")
        frame.locator("body[data-ready]").wait_for(timeout=60_000)
        frame.locator("#slider").focus()
        browser.page.keyboard.press("End")
        assert frame.locator("#slider").input_value() == "29"
        assert browser.complaints == []
        own = ("file:", "data:", "about:", "blob:")  # what the page made itself
        assert [url for url in browser.requests if not url.startswith(own)] == []
