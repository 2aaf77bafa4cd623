"""The page in a real browser, from a file, without network: what it shows is what the trace says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.viewer import viewer_page
from expirespan.experiments.viewer.browser import Opened, opened

pytestmark = pytest.mark.usefixtures("chromium")


def cards(tab: Any) -> list[int]:
    return list(tab.evaluate("[...document.querySelectorAll('.card')].map(c => Number(c.dataset.t))"))


def time_of(tab: Any) -> int:
    return int(tab.evaluate("Number(document.getElementById('slider').value)"))


def alive(trace: EpisodeTrace, t: int, layer: int | None = None) -> list[int]:
    there = trace.alive_at(t)
    return np.flatnonzero(there.any(0) if layer is None else there[layer]).tolist()


def data(tab: Any, figure: str, source: str) -> Any:
    """The columns of a Bokeh source of the page."""
    return tab.evaluate(
        """([figure, name]) => {
            const plot = Bokeh.documents[0].get_model_by_name(figure)
            const columns = plot.renderers.find(r => r.data_source.name === name).data_source.data
            return Object.fromEntries(Object.entries(columns).map(([key, values]) =>
                [key, Array.from(values, v => typeof v === "number" ? v : Array.from(v))]))
        }""",
        [figure, source],
    )


def clean(page: Opened) -> None:
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "blob:null/", "data:"))] == []


def test_strip_keys_and_figures_follow_the_trace(random_trace: Any, write: Any) -> None:
    trace = random_trace(260)
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
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
            assert cards(tab) == alive(trace, visited[-1])
        assert visited == [1, 2, 3, 4, 5, 6, 7, 17, 27, 37, 36, 35, 25, 259, 0]
        tab.locator("#slider").fill("150")
        for layer in range(trace.layers):
            tab.locator("#layer").select_option(index=layer + 1)
            assert cards(tab) == alive(trace, 150, layer)

        i = alive(trace, 150, 2)[0]
        title = tab.locator(f'.card[data-t="{i}"]').get_attribute("title")
        left = trace.span[2, i] - (150 - i)
        assert f"age {150 - i}, " + (f"remaining {left:.0f}" if left >= 0 else "on its ramp") in title
        weight = trace.attention[2, 150][trace.attended[2, 150] == i].sum(dtype=float)
        assert title.endswith(f"attention {weight:.3f}")

        lines = data(tab, "alive", "lines")
        assert lines["kept"] == trace.alive.sum(0).tolist()
        longest = int((np.minimum(trace.death, 259) - np.arange(260)).max()) + 1
        assert lines["window"] == [3 * min(t + 1, longest) for t in range(260)]
        assert data(tab, "total", "lines")["kept"] == trace.alive.sum(0).cumsum().tolist()
        np.testing.assert_array_equal(data(tab, "overview", "image")["image"][0], trace.span.ravel())
        gone = np.zeros((3, 200), int)
        window = data(tab, "detail", "forgotten")
        first = round(window["x"][0] + 0.5)
        gone[:, : 151 - first] = ~trace.alive_at(150)[:, first:]
        assert window["image"][0] == gone.ravel().tolist()
        clean(page)


def test_clicks_select_a_memory_and_go_to_a_step(random_trace: Any, write: Any) -> None:
    trace = random_trace(120)
    with opened(write(viewer_page([trace], "episode"))) as page:
        tab = page.page
        tab.locator("#slider").fill("80")
        i = alive(trace, 80)[0]
        tab.locator(f'.card[data-t="{i}"]').click()
        assert tab.locator(".card.selected").get_attribute("data-t") == str(i)
        received = np.where(trace.attended == i, trace.attention.astype(float), 0).sum(2)
        received[:, i] = 0
        np.testing.assert_allclose(data(tab, "received", "image")["image"][0], received.ravel(), atol=1e-4)
        best = int(received.max(0).argmax())
        button = tab.locator("#readers button").first
        assert button.text_content().startswith(f"t = {best}:")
        button.click()
        assert time_of(tab) == best
        box = (
            tab.locator("div[data-root-id]")
            .nth(0)
            .evaluate(
                "e => { const r = e.firstElementChild.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] }"
            )
        )
        tab.mouse.click(box[0] + 52 + (box[2] - 66) / 2, box[1] + box[3] / 3)
        tab.wait_for_function(
            "Math.abs(Number(document.getElementById('slider').value) - 60) <= 3", timeout=5000
        )
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


EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> </script> ${1} {{ 7 * 7 }}"


def test_text_stays_text(random_trace: Any, write: Any) -> None:
    trace = random_trace(12, text=np.array([f"line {t}: {EVIL}" for t in range(12)]))
    about = trace.about | {"env": EVIL, "actions": [EVIL] * 3}
    with opened(write(viewer_page([replace(trace, about=about)], EVIL))) as page:
        tab = page.page
        assert tab.locator("#frame .text").text_content() == f"line 0: {EVIL}"
        assert tab.locator("h1").text_content() == EVIL
        assert tab.title() == EVIL
        assert tab.locator("#numbers dd").nth(1).text_content() == EVIL
        assert tab.locator("#episode option").text_content().startswith(EVIL)
        tab.keyboard.press("End")
        shown = tab.locator(".card .said").all_text_contents()
        assert shown == [f"line {t}: {EVIL}" for t in alive(trace, 11)]
        assert tab.evaluate("window.hacked") is None
        assert tab.locator("img").count() == 0
        clean(page)


def test_every_kind_of_observation_and_memory(random_trace: Any, write: Any) -> None:
    """Pictures, vectors, no spans, one step; chosen one after the other; also on a telephone."""
    red, blue = np.zeros((2, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    pictures = random_trace(40, frames=np.stack([red, blue]), frame=np.arange(40, dtype=np.int32) % 2)
    traces = [pictures, random_trace(50, L=12), random_trace(9, L=0), random_trace(1)]
    for width in (1280, 390):
        with opened(write(viewer_page(traces, "several")), width) as page:
            tab = page.page
            for which, trace in enumerate(traces):
                tab.locator("#episode").select_option(value=str(which))
                tab.wait_for_function(f"document.body.dataset.ready === '{which}'")
                tab.locator("h1").click()
                tab.keyboard.press("End")
                assert time_of(tab) == trace.steps - 1
                expected = alive(trace, trace.steps - 1) if trace.layers else []
                assert cards(tab) == expected[: len(cards(tab))]
                assert int(
                    tab.evaluate("now_count = parseInt('0' + document.getElementById('count').textContent)")
                ) == len(expected)
                shown = tab.locator("#strip").is_visible(), tab.locator("#layer").is_visible()
                assert shown == (trace.layers > 0,) * 2, "nothing to choose from is not shown"
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
            page.page.locator("#frame .picture").screenshot(path=str(tmp_path / "shot.png"))
            with Image.open(tmp_path / "shot.png") as shot:
                assert shot.convert("RGB").getpixel((100, 100)) == tuple(colours[t])
        clean(page)


def test_ten_thousand_steps_are_drawn(random_trace: Any, write: Any) -> None:
    """The overview is shrunk by maxima, so that no long span is lost, and the window is exact."""
    trace = random_trace(10_000, L=1, k=2)
    with opened(write(viewer_page([trace], "long"))) as page:
        tab = page.page
        image = np.asarray(data(tab, "overview", "image")["image"][0])
        np.testing.assert_array_equal(image, trace.span.reshape(2000, 5).max(1))
        tab.locator("#slider").fill("9000")
        window = data(tab, "detail", "image")
        first = round(window["x"][0] + 0.5)
        assert first <= 9000 < first + 200
        np.testing.assert_array_equal(window["image"][0], trace.span[0, first : first + 200])
        assert (
            tab.locator("#count").text_content().strip().startswith(f"{len(alive(trace, 9000)):,} of 9,001")
        )
        strip = tab.locator("#strip")
        strip.evaluate("e => e.scrollTop = e.scrollHeight")
        tab.wait_for_function("[...document.querySelectorAll('.card')].some(c => c.dataset.t === '9000')")
        assert cards(tab) == alive(trace, 9000)[-len(cards(tab)) :]
        clean(page)
