"""An episode for the logger: heat map, longest-kept observations, a film with the spans under the frames, a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont
from stable_baselines3.common.logger import Image as LoggedImage
from stable_baselines3.common.logger import Logger

from expirespan.experiments.episodes.cue_retention import stretches
from expirespan.experiments.episodes.frames import ImageOf
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.pictures.heatmap import draw_heatmap
from expirespan.experiments.pictures.palette import ALIVE, CUE, FORGOTTEN
from expirespan.experiments.tracking.log_files import NOT_TEXT
from expirespan.experiments.tracking.log_values import Movie, Page, Picture, Table
from expirespan.experiments.viewer import viewer_page

COLUMNS = ("observation", "timestep", "span", "layer", "stayed", "cue")
MOST_ROWS, MOST_FRAMES, FPS = 16, 60, 8
WIDTH, HEAD, MARGIN = 480, 140, 10
INK = "#333333"
TEXT_LINES = 2
"""Lines of a text on a frame."""
_BLANK, _FORGOTTEN, _ALIVE, _INK = range(4)
_PALETTE = np.array([ImageColor.getrgb(colour) for colour in ("white", FORGOTTEN, ALIVE, INK)], np.uint8)


def log_episode(logger: Logger, trace: EpisodeTrace, image_of: ImageOf | None, films: bool) -> None:
    """Record ``eval/spans``; if somebody shows ``films``, also ``eval/longest_kept``, ``film`` and ``viewer``."""
    if trace.layers:
        logger.record("eval/spans", LoggedImage(draw_heatmap(trace), "HWC"), exclude=NOT_TEXT)
    if films:
        elsewhere = (*NOT_TEXT, "tensorboard")
        if trace.layers:
            logger.record("eval/longest_kept", longest_kept(trace, image_of), exclude=elsewhere)
        logger.record("eval/film", film(trace, image_of), exclude=elsewhere)
        title = f"{trace.about.get('recipe') or 'agent'} after {trace.about.get('trained_steps', 0):,} steps"
        logger.record("eval/viewer", Page(viewer_page([trace], title)), exclude=elsewhere)


def longest_kept(trace: EpisodeTrace, image_of: ImageOf | None = None, most: int = MOST_ROWS) -> Table:
    """The observations with the longest spans, each with the layer that gives it; the earlier first if equal.

    ``span`` is what was given, in steps, None without a limit; ``stayed``: steps for which the memory could be
    read until the episode ended. An observation that is neither text nor a picture is written out.

    Raises:
        ValueError: the memory has no spans.
    """
    if not trace.layers:
        raise ValueError("a memory without spans keeps no observation for longer than another")
    span, layer = trace.span.max(0), trace.span.argmax(0)
    rows: list[tuple[Any, ...]] = []
    for t in np.argsort(-span, kind="stable")[:most].tolist():
        shown: Any = str(trace.text[t]) if trace.text.size else _seen(trace, t, image_of)
        if shown is None:
            shown = np.array2string(trace.observation[t], precision=3, threshold=60)
        stayed = min(int(trace.death[layer[t], t]), trace.steps - 1) - t
        given = float(span[t]) if math.isfinite(span[t]) else None
        rows.append((shown, t, given, int(layer[t]) + 1, stayed, bool(trace.cue[t])))
    return Table(COLUMNS, rows)


def film(trace: EpisodeTrace, image_of: ImageOf | None = None, most: int = MOST_FRAMES) -> Movie:
    """At most ``most`` moments of an episode, evenly spread, the first and the last included.

    Under the observation there is a bar as high as its span for each timestep so far, in every layer: orange while
    the memory can be read, grey once it is gone. Green marks cues.
    """
    moments = np.unique(np.linspace(0, trace.steps - 1, min(trace.steps, most)).round().astype(int))
    strips = _Strips(trace)
    frames = np.stack([_frame(trace, t, strips, image_of) for t in moments.tolist()])
    return Movie(frames, FPS)


def _seen(trace: EpisodeTrace, t: int, image_of: ImageOf | None) -> Picture | None:
    """What is seen at a step: as ``image_of`` draws it, otherwise as it was recorded; None if it is no picture."""
    if image_of is not None and trace.observed:
        return image_of(trace.observation[t])
    at = trace.frame[t] if trace.frame.size else -1
    return trace.frames[at] if at >= 0 else None


class _Strips:
    """Bars of spans over time, one strip a layer; several timesteps share a bar where there are too many."""

    def __init__(self, trace: EpisodeTrace) -> None:
        self.trace, self.font = trace, ImageFont.load_default(14)
        self.height = 0 if not trace.layers else max(12, min(48, 240 // trace.layers))
        bars = min(trace.steps, WIDTH - 2 * MARGIN)
        self.first = np.linspace(0, trace.steps, bars + 1).astype(int)[:-1]
        self.column = np.arange(WIDTH - 2 * MARGIN) * bars // (WIDTH - 2 * MARGIN)  # pixel -> bar
        span = np.maximum.reduceat(
            trace.finite_span, self.first, axis=1
        ) if trace.layers else np.zeros((0, bars))  # fmt: skip
        share = span / max(float(span.max(initial=0)), 1)
        self.tall = np.maximum(2, np.ceil(share * (self.height - 6)))[:, self.column]

    def at(self, t: int) -> Picture:
        """Strips as step t found them, (layers * height, width, 3)."""
        trace, born = self.trace, np.arange(self.trace.steps)
        read = (born <= t) & (trace.death >= t)
        alive = np.logical_or.reduceat(read, self.first, axis=1)[:, self.column]
        kind = np.where((self.first <= t)[self.column], np.where(alive, _ALIVE, _FORGOTTEN), _BLANK)
        up = np.arange(self.height, 0, -1)[:, None]
        picture = np.full((trace.layers, self.height, WIDTH), _BLANK, np.uint8)
        inside = picture[:, :, MARGIN:-MARGIN]
        inside[:] = np.where(up <= self.tall[:, None], kind[:, None], _BLANK)
        inside[:, :, np.searchsorted(self.first[self.column], t, "right") - 1] = _INK
        return _PALETTE[picture].reshape(-1, WIDTH, 3)


def _wrapped(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """The text in as many lines as there is room for under three others."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= WIDTH - 2 * MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) <= TEXT_LINES:
        return lines
    return [*lines[: TEXT_LINES - 1], lines[TEXT_LINES - 1] + " ..."]


def _frame(trace: EpisodeTrace, t: int, strips: _Strips, image_of: ImageOf | None) -> Picture:
    head = Image.new("RGB", (WIDTH, HEAD), "white")
    draw = ImageDraw.Draw(head)
    left = MARGIN
    picture = _seen(trace, t, image_of)
    if picture is not None:
        seen = Image.fromarray(picture)
        scale = (HEAD - 2 * MARGIN - 6) / max(seen.size)
        seen = seen.resize((round(seen.width * scale), round(seen.height * scale)), Image.Resampling.NEAREST)
        head.paste(seen, (left, MARGIN))
        if trace.cue[t]:
            box = (left - 3, MARGIN - 3, left + seen.width + 2, MARGIN + seen.height + 2)
            draw.rectangle(box, outline=CUE, width=3)
        left += seen.width + 14
    alive = " / ".join(map(str, trace.alive[:, t].tolist()))
    lines = [
        f"timestep {t:,} of {trace.steps:,}" + ("   cue in view" if trace.cue[t] else ""),
        f"return so far {float(trace.reward[:t].sum()):.3g}, value {float(trace.value[t]):.2f}",
        *([f"memories alive per layer: {alive}"] if trace.layers else []),
    ]
    if trace.text.size:
        lines += _wrapped(str(trace.text[t]), strips.font)
    draw.multiline_text((left, MARGIN), "\n".join(lines), INK, strips.font, spacing=8)
    for first, last in stretches(trace.cue):
        if first <= t:
            x = MARGIN + (first + last + 1) / 2 * (WIDTH - 2 * MARGIN) / trace.steps
            draw.polygon([(x - 4, HEAD - 8), (x + 4, HEAD - 8), (x, HEAD - 1)], CUE)
    return np.concatenate([np.asarray(head), strips.at(t)]) if trace.layers else np.asarray(head)
