"""Two agents side by side: the sentences, the command, and the page in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.cli import main
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.verdict import verdict
from expirespan.experiments.viewer.browser import opened
from expirespan.experiments.viewer.page import comparison_page
from expirespan.experiments.viewer.pairs import pair, pairs_of


def seeded(trace: EpisodeTrace, seed: int, **about: Any) -> EpisodeTrace:
    return replace(trace, about=trace.about | {"seed": seed, "actions": ["left", "right", "go"]} | about)


def test_sentences(make_trace: Any) -> None:
    a = seeded(make_trace(8), 3)
    b = replace(a, action=np.array([0, 0, 2, 0, 0, 0, 0, 0]))
    same = "Both agents play the same episode"
    assert pair(a, b)[2:] == (
        f'{same}; they first act differently at step 2: A takes "left", B "right".'.replace("right", "go"),
        2,
    )
    assert pair(a, a)[2:] == (f"{same}, and act alike at every step.", None)
    assert pair(a, seeded(make_trace(5), 3))[2:] == (
        f"{same}; they act alike until step 4, where the episode of B ends.", 5,
    )  # fmt: skip
    assert pair(a, seeded(a, 4))[2:] == (
        "These are two episodes that differ (seed 3 and 4); their steps do not correspond.", None,
    )  # fmt: skip
    assert "(environment x and y)" in pair(seeded(a, 3, env="x"), seeded(a, 3, env="y")).sentence
    assert "(other settings" in pair(a, seeded(a, 3, settings={"length": 9})).sentence
    assert "(their seed is unknown)" in pair(make_trace(8), make_trace(8)).sentence


def test_episodes_are_paired_by_what_was_played(make_trace: Any) -> None:
    left = [seeded(make_trace(8), seed, agent="a") for seed in (1, 2, 2, 3)]
    right = [seeded(make_trace(8), seed, agent="b") for seed in (3, 2, 5)]
    assert [(p.a.about["seed"], p.b.about["seed"]) for p in pairs_of(left, right)] == [(2, 2), (3, 3)]
    assert [(p.a.about["seed"], p.b.about["seed"]) for p in pairs_of(left[:1], right)] == [(1, 3)]
    with pytest.raises(ValueError, match="at least one pair"):
        comparison_page([], ("a", "b"), "none")


def test_view_of_two_compares(make_trace: Any, tmp_path: Path) -> None:
    for name in "ab":
        seeded(make_trace(8), 3).save(tmp_path / f"{name}.npz")
    assert main(["view", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]) == 0
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.count('<article class="pane"') == 2 and "act alike at every step" in page
    assert page.count('"sheets"') == 2
    main(["view", *[str(tmp_path / f"{name}.npz") for name in "aba"]])
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count('<article class="pane"') == 1


@pytest.mark.usefixtures("chromium")
def test_both_move_together(random_trace: Any, write: Any) -> None:
    """A plays 60 steps and B 40; they differ from step 7."""
    a = seeded(random_trace(60, L=2, what_if=True), 3)
    b = seeded(random_trace(40, L=2, seed=1, what_if=True), 3)
    action = a.action[:40].copy()
    action[7] = (a.action[7] + 1) % 3
    b = replace(b, action=action)
    for width in (1280, 390):
        with opened(write(comparison_page([pair(a, b)], ("A: one", "B: <two>"), "both")), width) as page:
            tab = page.page
            panes = tab.locator(".pane")
            assert "first act differently at step 7" in tab.locator("#compared").text_content()
            assert panes.locator(".verdict").all_text_contents() == [verdict(a), verdict(b)]
            assert panes.locator(".name").all_text_contents() == ["A: one", "B: <two>"]
            clock = [panes.nth(i).locator("[aria-live]") for i in (0, 1)]
            assert [one.text_content().split(":")[0] for one in clock] == ["Step 7 of 59", "Step 7 of 39"]
            tab.locator("#slider").fill("20")
            for i, trace in enumerate((a, b)):
                shown = (
                    panes.nth(i)
                    .locator(".card")
                    .evaluate_all("all => all.map(card => Number(card.dataset.t))")
                )
                assert shown == np.flatnonzero(trace.alive_at(20).any(0)).tolist()[: len(shown)]
            tab.keyboard.press("End")
            tab.wait_for_function(
                "document.querySelectorAll('[aria-live]')[1].textContent.includes('The episode ends')"
            )
            assert clock[1].text_content().startswith("Step 39 of 39")
            tab.get_by_role("button", name="First difference").click()
            assert tab.locator("#slider").input_value() == "7"
            boxes = [panes.nth(i).bounding_box() for i in (0, 1)]
            beside = boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
            assert beside == (width == 1280)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert page.complaints == []
