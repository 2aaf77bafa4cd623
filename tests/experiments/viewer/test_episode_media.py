from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import pytest
from stable_baselines3.common.logger import Logger

from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.pictures.palette import ALIVE, FORGOTTEN
from expirespan.experiments.settings import CorridorSettings
from expirespan.experiments.tracking.log_values import Movie
from expirespan.experiments.viewer.episode_media import (
    COLUMNS,
    HEAD,
    MARGIN,
    WIDTH,
    film,
    log_episode,
    longest_kept,
)

ORANGE, GREY = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (ALIVE, FORGOTTEN))


def cells(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(COLUMNS, row, strict=True))


def test_the_longest_kept_observations(make_trace: Any) -> None:
    """Of 100 steps the first two have spans of 100 in layer 1; all others have 2 and stay for three steps."""
    trace = make_trace(100)
    table = longest_kept(trace, most=4)
    assert table.columns == COLUMNS
    facts = [row[1:] for row in table.rows]
    assert facts == [(0, 100, 1, 99, True), (1, 100, 1, 98, True), (2, 2, 1, 3, False), (3, 2, 1, 3, False)]
    assert isinstance(cells(table.rows[0])["observation"], str), "written out where it cannot be drawn"
    drawn = longest_kept(trace, image_of(CorridorSettings()), most=1)
    assert cells(drawn.rows[0])["observation"].dtype == np.uint8
    span = trace.span.copy()
    span[1, 7] = np.inf
    endless = cells(longest_kept(replace(trace, span=span)).rows[0])
    assert (endless["timestep"], endless["layer"], endless["span"]) == (7, 2, None)
    assert len(longest_kept(make_trace(3)).rows) == 3
    with pytest.raises(ValueError, match="without spans"):
        longest_kept(make_trace(5, 0))


def coloured(strip: Any, colour: list[int]) -> list[int]:
    """Columns with the colour in the strip's lowest row."""
    return np.flatnonzero((strip[-1] == colour).all(-1)).tolist()


@pytest.mark.parametrize("steps", [10, 203, 10_000])
def test_the_film_shows_what_is_alive(make_trace: Any, steps: int) -> None:
    trace = make_trace(steps)
    movie = film(trace, image_of(CorridorSettings()))
    assert movie.frames.shape[0] == min(steps, 60) and movie.frames.shape[2:] == (WIDTH, 3)
    strips = movie.frames[-1, HEAD:].reshape(2, -1, WIDTH, 3)
    inner = WIDTH - 2 * MARGIN
    pixels = inner / steps  # of one timestep
    first, second = (coloured(strip, ORANGE) for strip in strips)
    assert min(first) == MARGIN, "layer 1 keeps the cue at the start"
    assert min(second, default=WIDTH) >= MARGIN + inner - 4 * pixels - 2, "layer 2 only the last"
    if (
        steps == 10
    ):  # 46 pixels each; 0, 1 and 6 to 9 are alive in layer 1; the cursor stands in the last pixel
        kept = np.repeat(trace.death[0] >= 9, 46)
        assert np.flatnonzero(kept[::46]).tolist() == [0, 1, 6, 7, 8, 9]
        assert first == (MARGIN + np.flatnonzero(kept)[:-1]).tolist()
        assert coloured(strips[0], GREY) == (MARGIN + np.flatnonzero(~kept)).tolist()
    middle = movie.frames[len(movie.frames) // 2, HEAD:].reshape(2, -1, WIDTH, 3)
    assert (middle[:, :, WIDTH - MARGIN - round(inner / 4) :] == 255).all(), "what is to come is not drawn"


def test_recorded_pictures_and_texts_are_shown(make_trace: Any) -> None:
    """Of environments that draw no observation of theirs: pictures rendered at the time, and lines of text."""
    frames = np.stack([np.full((20, 20, 3), shade, np.uint8) for shade in (40, 90)])
    trace = replace(make_trace(6), frames=frames, frame=np.array([0, 1, 1, -1, 0, 0], np.int32))
    heads = film(trace).frames[:, MARGIN : HEAD - MARGIN, MARGIN : HEAD - MARGIN]
    shades = [set(np.unique(head[8:-8, 8:-8]).tolist()) for head in heads]
    assert shades[:3] == [{40}, {90}, {90}] and shades[4:] == [{40}, {40}] and 40 not in shades[3]
    rows = {row[1]: row[0] for row in longest_kept(trace).rows}
    assert (rows[1] == frames[1]).all() and isinstance(rows[3], str)
    texts = replace(make_trace(3), text=np.array(["one", "two", "three"]))
    assert {row[1]: row[0] for row in longest_kept(texts).rows} == {0: "one", 1: "two", 2: "three"}


def test_films_without_spans_or_pictures(make_trace: Any) -> None:
    assert film(make_trace(5, 0)).frames.shape == (5, HEAD, WIDTH, 3)
    assert film(make_trace(5, 12)).frames.std() > 0


def test_a_film_as_gif() -> None:
    frames = np.zeros((3, 8, 6, 3), np.uint8)
    frames[1, :4] = ORANGE
    frames[2] = 255
    with PIL.Image.open(io.BytesIO(Movie(frames, fps=8).gif())) as picture:
        assert (picture.format, picture.n_frames, picture.size) == ("GIF", 3, (6, 8))  # type: ignore[attr-defined]
        assert picture.info["duration"] in (120, 130), "an eighth of a second, in hundredths"
        for i in range(3):
            picture.seek(i)
            seen = np.asarray(picture.convert("RGB")).astype(int)
            assert np.abs(seen - frames[i]).max() <= 8
        assert picture.info.get("loop", 0) == 0


def test_what_is_recorded(make_trace: Any) -> None:
    logger = Logger(None, [])
    log_episode(logger, make_trace(9), None, films=False)
    assert set(logger.name_to_value) == {"eval/spans"}
    log_episode(logger, make_trace(9), None, films=True)
    assert set(logger.name_to_value) == {"eval/spans", "eval/longest_kept", "eval/film", "eval/viewer"}
    assert {"csv", "tensorboard", "stdout"} <= set(logger.name_to_excluded["eval/film"])
    logger = Logger(None, [])
    log_episode(logger, make_trace(9, 0), None, films=True)
    assert set(logger.name_to_value) == {"eval/film", "eval/viewer"}
