"""Size of the viewer's page, first paint and time of a step in a headless Chromium, for episodes of several sizes."""

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
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.viewer import viewer_page
from expirespan.experiments.viewer.browser import opened
from expirespan.experiments.viewer.page import comparison_page
from expirespan.experiments.viewer.pairs import pair

SIZES = ((1_000, 2, 1), (1_000, 2, 2), (1_000, 12, 1), (10_000, 2, 1), (10_000, 12, 1))
"""Steps, layers, and agents side by side."""
MEGABYTES, PAINT, STEP = 2, 1000, 50
"""Bars: of the page of 1,000 steps of one agent, of its first paint in milliseconds, and of a step."""
TOP = 16
"""Memories whose attention an episode stores, for each step and layer."""
HEADS, REMOVED, ACTIONS = 4, 8, 7
"""Of attention; memories removed at each step; actions."""

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
    """Size of an episode and of its page; milliseconds until the first paint of text, seconds until the page is ready;
    milliseconds per step of the slider, until the second animation frame after it: their median and 95th percentile;
    of these the processor time of the page's main thread, mean, which other programs do not lengthen.
    """

    steps: int
    layers: int
    agents: int
    megabytes: float
    first_paint: float
    load_seconds: float
    scrub_median: float
    scrub_p95: float
    scrub_processor: float
    within_bars: bool | None
    """Whether an episode of 1,000 steps of one agent meets all bars; None for other sizes."""


def run(options: Options) -> list[Row]:
    """Measure the sizes in `SIZES`.

    Raises:
        UserError: there is nothing to measure, or no browser.
    """
    check_settings(options)
    return [_row(*size, options.scrubs) for size in SIZES]


def _row(steps: int, layers: int, agents: int, scrubs: int) -> Row:
    episodes = [random_episode(steps, layers, seed) for seed in range(agents)]
    html = (
        viewer_page(episodes, "bench")
        if agents == 1
        else comparison_page([pair(*episodes)], ("A", "B"), "bench")
    )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(html, encoding="utf-8")
        with opened(page) as browser:
            tab = browser.page
            begin = time.perf_counter()
            tab.reload()
            tab.wait_for_function("document.body.dataset.ready")
            load = time.perf_counter() - begin
            paint = tab.evaluate(
                "performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint').startTime"
            )
            tab.locator("#slider").fill(str(steps // 2))
            meter = tab.context.new_cdp_session(tab)
            meter.send("Performance.enable", {"timeDomain": "threadTicks"})
            busy = _busy(meter)
            times = tab.evaluate(SCRUB, scrubs)
            processor = 1000 * (_busy(meter) - busy) / scrubs
        size = page.stat().st_size / 1e6
    step = median(times)
    within = size < MEGABYTES and paint < PAINT and step < STEP if (steps, agents) == (1_000, 1) else None
    return Row(
        steps, layers, agents, size, paint, load, step, float(np.percentile(times, 95)), processor, within
    )


def _busy(meter: Any) -> float:
    """Seconds of processor time that the page's main thread has taken so far."""
    found = meter.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def random_episode(steps: int, layers: int, seed: int = 0) -> EpisodeTrace:
    """A random episode: about 60 memories alive at a time, 200 views of 7 x 7 tiles, eight memories removed."""
    rng = np.random.default_rng(seed)
    life = rng.geometric(1 / 60, (layers, steps))
    now = np.arange(steps)[:, None]
    weights: Any = np.sort(rng.dirichlet(np.ones(TOP), (layers, steps)))[..., ::-1]
    return EpisodeTrace(
        observation=np.zeros((steps, 0)),
        action=rng.integers(0, ACTIONS, steps),
        reward=(rng.random(steps) < 0.01).astype(np.float32),
        value=rng.normal(size=steps).cumsum().astype(np.float32),
        cue=rng.random(steps) < 0.01,
        span=life.astype(np.float32),
        alive=np.full((layers, steps), 60, np.int32),
        death=np.minimum(np.arange(steps) + life, steps).astype(np.int32),
        about={"env": "random", "seed": 0, "ramp": 8},
        attended=np.maximum(now - rng.integers(0, 120, (layers, steps, TOP)), 0).astype(np.int32),
        attention=weights.astype(np.float16),
        heads=(rng.dirichlet(np.ones(HEADS), weights.shape) * weights[..., None] * 255).astype(np.uint8),
        probability=rng.dirichlet(np.ones(ACTIONS), steps).astype(np.float32),
        removed=np.maximum(now - rng.integers(1, 120, (steps, REMOVED)), -1).astype(np.int32),
        without=rng.dirichlet(np.ones(ACTIONS), (steps, REMOVED)).astype(np.float32),
        value_without=rng.normal(size=(steps, REMOVED)).astype(np.float32),
        shift=rng.exponential(0.1, (steps, REMOVED)).astype(np.float32),
        frames=rng.integers(0, 256, (200, 7, 7, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2),
        frame=rng.integers(0, 200, steps).astype(np.int32),
    )


def table(rows: list[Row]) -> str:
    """As text."""
    head = ("steps", "layers", "agents", "MB", "paint ms", "ready s", "step ms", "95 %", "CPU ms")
    lines = ["".join(f"{name:>9}" for name in head) + " bars"]
    for row in rows:
        lines.append(
            f"{row.steps:>9,}{row.layers:>9}{row.agents:>9}{row.megabytes:>9.2f}{row.first_paint:>9.0f}"
            f"{row.load_seconds:>9.2f}{row.scrub_median:>9.0f}{row.scrub_p95:>9.0f}{row.scrub_processor:>9.0f} "
            f"{ {None: '', True: 'met', False: 'missed'}[row.within_bars] }"
        )
    return "\n".join(lines)
