"""The viewer in a browser: what it opens with, how one moves in it, for whom it works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.verdict import decisive, verdict
from expirespan.experiments.viewer import viewer_page
from expirespan.experiments.viewer.browser import opened
from tests.experiments.viewer.tab import alive, cards, clean, data, part, time_of

pytestmark = pytest.mark.usefixtures("chromium")


def test_it_opens_at_the_decisive_step_with_its_memory_on_screen(random_trace: Any, write: Any) -> None:
    """Without a click: the verdict, the step, the memory, and what the step does without it."""
    trace = random_trace(260, what_if=True)
    use = decisive(trace)
    assert use is not None
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        assert part(tab, "verdict").text_content() == verdict(trace)
        assert time_of(tab) == use.step
        chosen = tab.locator('.card[aria-pressed="true"]')
        assert chosen.get_attribute("data-t") == str(use.memory)
        for shown in (part(tab, "verdict"), chosen, part(tab, "whatif")):
            box = shown.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= 900, "on the first screen"
        tab.keyboard.press("End")
        assert time_of(tab) == 259
        tab.keyboard.press("d")
        assert time_of(tab) == use.step
        clean(page)


def test_strip_keys_and_figures_follow_the_trace(random_trace: Any, write: Any) -> None:
    trace = random_trace(260)
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        tab.keyboard.press("Home")
        assert cards(tab) == alive(trace, 0) == [0]
        visited = []
        for key in (
            ["ArrowRight"] * 7
            + ["Shift+ArrowRight"] * 3
            + ["ArrowLeft"] * 2
            + ["Shift+ArrowLeft", "End", "Home"]
        ):
            tab.keyboard.press(key)
            visited.append(time_of(tab))
            there = alive(trace, visited[-1])
            assert cards(tab) == there[: len(cards(tab))] and len(cards(tab)) >= min(18, len(there))
        assert visited == [1, 2, 3, 4, 5, 6, 7, 17, 27, 37, 36, 35, 25, 259, 0]
        tab.locator("#slider").fill("150")
        for layer in range(trace.layers):
            part(tab, "layer").select_option(index=layer + 1)
            assert cards(tab) == alive(trace, 150, layer)

        i = alive(trace, 150, 2)[0]
        title = tab.locator(f'.card[data-t="{i}"]').get_attribute("title")
        left = trace.span[2, i] - (150 - i)
        assert f"age {150 - i}, " + (f"{left:.0f} remaining" if left >= 0 else "on its ramp") in title
        weight = trace.attention[2, 150][trace.attended[2, 150] == i].sum(dtype=float)
        assert title.endswith(f"attention {weight:.3f}")

        lines = data(tab, "alive0", "lines")
        assert lines["kept"] == trace.alive.sum(0).tolist()
        longest = int((np.minimum(trace.death, 259) - np.arange(260)).max()) + 1
        assert lines["window"] == [3 * min(t + 1, longest) for t in range(260)]
        np.testing.assert_array_equal(data(tab, "overview0", "image")["image"][0], trace.span.ravel())
        gone = np.zeros((3, 200), int)
        window = data(tab, "detail0", "forgotten")
        first = round(window["x"][0] + 0.5)
        gone[:, : 151 - first] = ~trace.alive_at(150)[:, first:]
        assert window["image"][0] == gone.ravel().tolist()
        clean(page)


def test_the_figures_lie_above_each_other(random_trace: Any, write: Any) -> None:
    """All time axes begin and end at the same x, and the mark of the step is where the axes say it is."""
    with opened(write(viewer_page([random_trace(260, what_if=True)], "episode"))) as page:
        tab = page.page
        tab.locator("#slider").fill("130")
        frames = tab.evaluate(
            """() => [...document.querySelectorAll("[data-root-id]")].map(e => {
                const view = Object.values(Bokeh.index.roots ?? Bokeh.index).find(v => v.model.id === e.dataset.rootId)
                const at = view.el.getBoundingClientRect().x, box = view.frame.bbox
                return [at + box.left, at + box.right]
            })"""
        )
        assert len(frames) == 6 and len({tuple(map(round, frame)) for frame in frames}) == 1, frames
        left, right = frames[0]
        mark = part(tab, "plot-overview").locator(".step-at").bounding_box()["x"] + 1
        assert mark == pytest.approx(left + (right - left) * 130.5 / 260, abs=1)


def test_clicks_select_a_memory_and_go_to_a_step(random_trace: Any, write: Any) -> None:
    trace = random_trace(120)
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        tab.locator("#slider").fill("80")
        i = alive(trace, 80)[0]
        tab.locator(f'.card[data-t="{i}"]').click()
        assert tab.locator('.card[aria-pressed="true"]').get_attribute("data-t") == str(i)
        received = np.where(trace.attended == i, trace.attention.astype(float), 0).sum(2)
        received[:, i] = 0
        np.testing.assert_allclose(data(tab, "received0", "image")["image"][0], received.ravel(), atol=1e-4)
        best = int(received.mean(0).argmax())
        button = part(tab, "readers").locator("button").first
        assert button.text_content().startswith(f"step {best}:")
        button.click()
        assert time_of(tab) == best
        plot = part(tab, "plot-overview")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        tab.mouse.click(box["x"] + 56 + (box["width"] - 70) / 2, box["y"] + box["height"] / 3)
        tab.wait_for_function(
            "Math.abs(Number(document.getElementById('slider').value) - 60) <= 3", timeout=5000
        )
        clean(page)


def test_for_those_who_use_keys_or_hear_the_page(random_trace: Any, write: Any) -> None:
    trace = random_trace(60, what_if=True, words=np.array([f"thing {t}" for t in range(60)]))
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        for landmark in ("banner", "navigation", "main", "contentinfo"):
            assert tab.get_by_role(landmark).count() == 1
        assert tab.locator("h1").count() == 1
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Skip to the step"
        order = []
        for _ in range(9):
            tab.keyboard.press("Tab")
            order.append(
                tab.evaluate(
                    "(e => e.id || e.dataset.part || e.className || e.textContent)(document.activeElement)"
                )
            )
        assert order[:7] == ["episode", "play", "slider", "Decisive step", "speed", "layer", "order"]
        assert any("card" in name for name in order[7:]), order
        tab.locator(".card").first.focus()
        assert tab.locator('.card[tabindex="0"]').count() == 1, "one stop for all memories"
        tab.keyboard.press("ArrowDown")
        focused = tab.evaluate("[document.activeElement.dataset.t, document.activeElement.ariaPressed]")
        assert focused[1] == "true"
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function(
            "start => document.querySelector('[aria-live]').textContent.startsWith(start)",
            arg=f"Step {time_of(tab)} of 59: the agent sees thing {time_of(tab)} ",
        )
        unnamed = tab.evaluate(
            "[...document.querySelectorAll('[role=img], select, input, .card')].filter(e => "
            "!e.ariaLabel && !e.closest('label')).length"
        )
        assert unnamed == 0
        for table in tab.locator("table:visible").all():
            assert table.locator("caption").count() == 1 and table.locator("th[scope]").count() > 0
        clean(page)


def test_play_and_pause(random_trace: Any, write: Any) -> None:
    with opened(write(viewer_page([random_trace(30, L=1)], "episode"))) as page:
        tab = page.page
        tab.locator("#speed").select_option(value="100")
        tab.locator("h1").click()
        tab.keyboard.press("Space")
        tab.wait_for_function("Number(document.getElementById('slider').value) === 29", timeout=20_000)
        tab.wait_for_function("document.getElementById('play').textContent.includes('Play')", timeout=5000)
        clean(page)
