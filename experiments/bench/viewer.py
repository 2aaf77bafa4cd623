"""Load and scrub times of the viewer's page in a headless Chromium, for random episodes of several sizes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from expirespan.experiments.bench.options import ViewerOptions as Options
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.viewer import viewer_page
from expirespan.experiments.viewer.browser import opened

SIZES = ((1_000, 12), (10_000, 2), (10_000, 12))
"""Steps and layers of the episodes."""
TOP = 16
"""Memories whose attention an episode stores, for each step and layer."""

SCRUB = """async (count) => {
    const frame = () => new Promise(requestAnimationFrame), slider = document.getElementById("slider"), times = []
    for (let i = 0; i < count; i++) {
        const begin = performance.now()
        slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1)
        slider.dispatchEvent(new Event("input"))
        await frame()
        await frame()
        times.push(performance.now() - begin)
    }
    return times
}"""


@dataclass(frozen=True)
class Row:
    """Size of an episode and of its page; seconds until the page is ready; milliseconds per step of the slider, until
    the second animation frame after it: their median and 95th percentile.
    """

    steps: int
    layers: int
    megabytes: float
    load_seconds: float
    scrub_median: float
    scrub_p95: float


def run(options: Options) -> list[Row]:
    """Measure the sizes in `SIZES`.

    Raises:
        UserError: there is nothing to measure, or no browser.
    """
    if options.scrubs < 1:
        raise UserError(f"scrubs={options.scrubs}: expected at least 1")
    return [_row(steps, layers, options.scrubs) for steps, layers in SIZES]


def _row(steps: int, layers: int, scrubs: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(viewer_page([random_episode(steps, layers)], "bench"), encoding="utf-8")
        with opened(page) as browser:
            tab = browser.page
            begin = time.perf_counter()
            tab.reload()
            tab.wait_for_function("document.body.dataset.ready")
            load = time.perf_counter() - begin
            tab.locator("#slider").fill(str(steps // 2))
            times = tab.evaluate(SCRUB, scrubs)
        size = page.stat().st_size / 1e6
    return Row(steps, layers, size, load, median(times), float(np.percentile(times, 95)))


def random_episode(steps: int, layers: int, seed: int = 0) -> EpisodeTrace:
    """An episode whose lives, attention and 200 pictures are random: about 60 of its memories are alive at a time."""
    rng = np.random.default_rng(seed)
    life = rng.geometric(1 / 60, (layers, steps))
    now = np.arange(steps)[:, None]
    weights: Any = np.sort(rng.dirichlet(np.ones(TOP), (layers, steps)))[..., ::-1]
    return EpisodeTrace(
        observation=np.zeros((steps, 0)),
        action=rng.integers(0, 3, steps),
        reward=(rng.random(steps) < 0.01).astype(np.float32),
        value=rng.normal(size=steps).cumsum().astype(np.float32),
        cue=rng.random(steps) < 0.01,
        span=life.astype(np.float32),
        alive=np.full((layers, steps), 60, np.int32),
        death=np.minimum(np.arange(steps) + life, steps).astype(np.int32),
        about={"env": "random"},
        attended=np.maximum(now - rng.integers(0, 120, (layers, steps, TOP)), 0).astype(np.int32),
        attention=weights.astype(np.float16),
        frames=rng.integers(0, 256, (200, 48, 48, 3), dtype=np.uint8),
        frame=rng.integers(0, 200, steps).astype(np.int32),
    )


def table(rows: list[Row]) -> str:
    """As text."""
    lines = [f"{'steps':>8} {'layers':>7} {'MB':>6} {'load s':>7} {'scrub ms':>9} {'95 %':>6}"]
    for row in rows:
        lines.append(
            f"{row.steps:>8,} {row.layers:>7} {row.megabytes:>6.1f} {row.load_seconds:>7.2f} "
            f"{row.scrub_median:>9.0f} {row.scrub_p95:>6.0f}"
        )
    return "\n".join(lines)
