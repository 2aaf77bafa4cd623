"""The viewer in a browser: every kind of trace is shown as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.verdict import decisive, verdict
from expirespan.experiments.viewer import viewer_page
from expirespan.experiments.viewer.browser import opened
from tests.experiments.viewer.tab import alive, cards, clean, data, part, time_of

pytestmark = pytest.mark.usefixtures("chromium")


def test_what_if_figures_are_those_of_the_trace(random_trace: Any, write: Any) -> None:
    trace = random_trace(60, what_if=True, about={"env": "x", "ramp": 1, "actions": ["left", "right", "go"]})
    t = 50
    j = int(trace.shift[t].argmax())
    memory = int(trace.removed[t, j])
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        tab.locator("#slider").fill(str(t))
        part(tab, "order").select_option("shift")
        tried = trace.removed[t][np.argsort(-trace.shift[t], kind="stable")]
        tried = tried[tried >= 0].tolist()
        assert cards(tab)[: len(tried)] == tried
        part(tab, "order").select_option("attention")
        weights = [trace.attention[:, t][trace.attended[:, t] == i].sum(dtype=float) for i in cards(tab)]
        assert weights == sorted(weights, reverse=True)
        tab.locator(f'.card[data-t="{memory}"]').click()
        rows = part(tab, "whatif").locator("tr")
        assert rows.locator("th").all_text_contents() == ["left", "right", "go"]
        shown = [row.split() for row in rows.locator("td").all_text_contents()]
        assert shown == [
            [f"{p:.3f}", f"{q:.3f}"] for p, q in zip(trace.probability[t], trace.without[t, j], strict=True)
        ]
        said = part(tab, "whatif").locator(".what").text_content()
        a = int(trace.action[t])
        assert f"probability {trace.probability[t, a]:.2f} → {trace.without[t, j, a]:.2f}" in said
        assert "Later memories may hold a copy" in part(tab, "whatif").text_content()
        width = rows.nth(a).locator(".track").nth(0).bounding_box()["width"]
        other = rows.nth((a + 1) % 3).locator(".track").nth(0).bounding_box()["width"]
        ratio = trace.probability[t, (a + 1) % 3] / trace.probability[t, a]
        assert other / width == pytest.approx(ratio, abs=0.05)

        part(tab, "heads").locator("summary").click()
        part(tab, "by-head").locator("table").wait_for()
        assert part(tab, "by-head").locator("tr").count() == 1 + trace.layers
        place = np.argwhere(trace.attended[:, t] == memory)
        layer, at = place[0] if len(place) else (0, -1)
        mean = trace.heads[layer, t, at].mean() / 255 if len(place) else 0
        cells = part(tab, "by-head").locator("tr").nth(1 + int(layer)).locator("td").all_text_contents()
        assert np.mean([float(cell.split()[0]) / 100 for cell in cells]) == pytest.approx(mean, abs=0.006)
        clean(page)


def test_without_what_if_and_cues_nothing_of_them_is_shown(random_trace: Any, write: Any) -> None:
    trace = random_trace(40, cue=np.zeros(40, bool))
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        for name in ("key-shift", "key-cue", "key-cues", "shifting", "heads", "thin"):
            assert not part(tab, name).is_visible(), name
        assert part(tab, "order").locator("option").count() == 2
        clean(page)


EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> </script> ${1} {{ 7 * 7 }}"


def test_text_stays_text(random_trace: Any, write: Any) -> None:
    text = np.array([f"line {t}: {EVIL}" for t in range(12)])
    trace = random_trace(12, what_if=True, text=text, words=text)
    about = trace.about | {"env": EVIL, "actions": [EVIL] * 3}
    title = f"{EVIL} THE-EPISODES-OF-THE-PAGE"
    with opened(write(viewer_page([replace(trace, about=about)], title))) as page:
        tab = page.page
        tab.keyboard.press("Home")
        assert part(tab, "frame").locator(".text").text_content() == f"line 0: {EVIL}"
        assert tab.locator("h1").text_content() == title
        assert tab.title() == title
        assert part(tab, "numbers").locator("dd").first.text_content() == EVIL
        assert tab.locator("#episode option").text_content().startswith(EVIL)
        assert part(tab, "verdict").text_content() == verdict(replace(trace, about=about))
        tab.keyboard.press("End")
        shown = tab.locator(".card .said").all_text_contents()
        assert shown == [f"line {t}: {EVIL}" for t in alive(trace, 11)]
        tab.locator(".card").first.click()
        assert tab.evaluate("window.hacked") is None
        assert tab.locator("img").count() == 0
        clean(page)


def test_every_kind_of_observation_and_memory(random_trace: Any, write: Any) -> None:
    """Pictures, vectors, no spans, one step; chosen one after the other; also on a telephone."""
    red, blue = np.zeros((2, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    pictures = random_trace(
        40, what_if=True, frames=np.stack([red, blue]), frame=np.arange(40, dtype=np.int32) % 2
    )
    traces = [pictures, random_trace(50, L=12, what_if=True), random_trace(9, L=0, k=0), random_trace(1)]
    for width in (1280, 390):
        with opened(write(viewer_page(traces, "several")), width) as page:
            tab = page.page
            for which, trace in enumerate(traces):
                tab.locator("#episode").select_option(value=str(which))
                tab.wait_for_function(f"document.body.dataset.ready === '{which}'")
                tab.locator("h1").click()
                tab.keyboard.press("End")
                assert time_of(tab) == trace.steps - 1
                assert part(tab, "verdict").text_content() == verdict(trace)
                expected = alive(trace, trace.steps - 1) if trace.layers else []
                part(tab, "strip").evaluate("strip => { strip.scrollTop = 0; strip.onscroll() }")
                assert cards(tab) == expected[: len(cards(tab))]
                if trace.layers:
                    assert part(tab, "count").text_content().startswith(f"{len(expected)} of {trace.steps} ")
                assert part(tab, "strip").is_visible() == (trace.layers > 0)
                assert part(tab, "layer").is_visible() == (trace.layers > 1), (
                    "nothing to choose from is not shown"
                )
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
            clean(page)


def test_pictures_are_those_of_the_trace(random_trace: Any, write: Any, tmp_path: Path) -> None:
    """Of 300 colours, more than fit on a sheet, the one of the step is what the screen shows."""
    from PIL import Image

    colours = np.random.default_rng(0).integers(0, 256, (300, 3), dtype=np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (300, 8, 8, 3)).copy()
    trace = random_trace(300, L=1, frames=frames, frame=np.arange(300, dtype=np.int32))
    with opened(write(viewer_page([trace], "colours"))) as page:
        for t in (0, 17, 255, 256, 299):
            page.page.locator("#slider").fill(str(t))
            page.page.wait_for_timeout(100)
            part(page.page, "frame").locator(".picture").screenshot(path=str(tmp_path / "shot.png"))
            with Image.open(tmp_path / "shot.png") as shot:
                assert shot.convert("RGB").getpixel((100, 100)) == tuple(colours[t])
        clean(page)


def test_ten_thousand_steps_are_drawn(random_trace: Any, write: Any) -> None:
    """The overview is shrunk by maxima, so that no long span is lost, and the window is exact."""
    trace = random_trace(10_000, L=1, k=2)
    with opened(write(viewer_page([trace], "long"))) as page:
        tab = page.page
        image = np.asarray(data(tab, "overview0", "image")["image"][0])
        np.testing.assert_array_equal(image, trace.span.reshape(2000, 5).max(1))
        tab.locator("#slider").fill("9000")
        window = data(tab, "detail0", "image")
        first = round(window["x"][0] + 0.5)
        assert first <= 9000 < first + 200
        np.testing.assert_array_equal(window["image"][0], trace.span[0, first : first + 200])
        assert part(tab, "count").text_content().startswith(f"{len(alive(trace, 9000)):,} of 9,001")
        strip = part(tab, "strip")
        strip.evaluate("e => e.scrollTop = e.scrollHeight")
        tab.wait_for_function("[...document.querySelectorAll('.card')].some(c => c.dataset.t === '9000')")
        assert cards(tab) == alive(trace, 9000)[-len(cards(tab)) :]
        clean(page)


def test_a_long_episode_is_thinned_and_the_page_says_so(
    random_trace: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between stored steps the attention of the last one stored is shown."""
    from expirespan.experiments.viewer import summary

    monkeypatch.setattr(summary, "READ_BYTES", 20_000)
    trace = random_trace(400, L=2, k=4, what_if=True)
    kept = summary.stored_steps(trace)
    every = int(np.diff(kept).max())
    assert every > 1 and len(kept) < 400
    use = decisive(trace)
    assert use is not None and use.step in kept and 399 in kept
    with opened(write(viewer_page([trace], "long"))) as page:
        tab = page.page
        assert f"every {every}th step" in part(tab, "thin").text_content()
        assert time_of(tab) == use.step
        t = int(next(t for t in range(300, 400) if t not in kept))
        before = int(kept[kept < t].max())
        tab.locator("#slider").fill(str(t))
        i = int(trace.attended[0, before, 0])
        if i in cards(tab):
            weight = trace.attention[:, before][trace.attended[:, before] == i].sum(dtype=float) / 2
            title = tab.locator(f'.card[data-t="{i}"]').get_attribute("title")
            assert f"attention {weight:.3f}" in title
        clean(page)
