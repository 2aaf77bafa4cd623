"""What tests ask of a page that is open in a browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.viewer.browser import Opened


def part(tab: Any, name: str, pane: int = 0) -> Any:
    return tab.locator(".pane").nth(pane).locator(f'[data-part="{name}"]')


def cards(tab: Any, pane: int = 0) -> list[int]:
    found = tab.locator(".pane").nth(pane).locator(".card")
    return list(found.evaluate_all("all => all.map(card => Number(card.dataset.t))"))


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
