from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expirespan.experiments.episodes.cue_retention import stretches
from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.pictures.heatmap import draw_heatmap
from expirespan.experiments.pictures.retention import draw_retention, thumbnails
from expirespan.experiments.settings import CorridorSettings


@pytest.mark.parametrize(("steps", "layers"), [(1, 1), (10, 2), (203, 2), (10_000, 1), (203, 0)])
def test_the_retention_picture_is_a_png(make_trace: Any, tmp_path: Path, steps: int, layers: int) -> None:
    path = draw_retention(make_trace(steps, layers), tmp_path / "picture.png", image_of(CorridorSettings()))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1430
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    has = {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}
    assert (0x00, 0x9E, 0x73) in has, "the cue is marked"
    assert ((0xD5, 0x5E, 0x00) in has) == bool(layers), "memories alive at the end are marked"


def test_observations_without_picture_are_left_out(make_trace: Any, tmp_path: Path) -> None:
    with_images = draw_retention(make_trace(50), tmp_path / "a.png", image_of(CorridorSettings()))
    without = draw_retention(make_trace(50), tmp_path / "b.png", None)
    with Image.open(with_images) as tall, Image.open(without) as short:
        assert tall.height > short.height


def test_infinite_spans_are_drawn(make_trace: Any, tmp_path: Path) -> None:
    trace = make_trace(50)
    endless = replace(trace, span=np.full_like(trace.span, np.inf))
    assert draw_retention(endless, tmp_path / "a.png").exists()
    assert draw_heatmap(endless).std() > 0


def test_thumbnails_begin_with_the_cue_and_spread_over_what_is_kept(make_trace: Any) -> None:
    trace = make_trace(100)
    assert thumbnails(trace).tolist() == [0, 1, 97, 98, 99]
    assert thumbnails(trace, most=4).tolist() == [0, 1, 97, 99]
    everything = replace(trace, death=np.full_like(trace.death, 100))
    shown = thumbnails(everything)
    assert len(shown) == 12
    assert shown[:3].tolist() == [0, 1, 2]
    assert shown[-1] == 99
    nothing = replace(trace, death=np.arange(100) + np.zeros_like(trace.death))
    assert thumbnails(nothing).tolist() == []


def test_runs() -> None:
    assert stretches(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 1), (3, 3), (6, 6)]
    assert stretches(np.zeros(3, bool)) == []


def test_heat_map_shows_the_spans(make_trace: Any) -> None:
    picture = draw_heatmap(make_trace(100))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3 and picture.shape[2] == 3
    yellow = np.array(
        [0xFE, 0xE8, 0x38]
    )  # the high end of the colours: two steps of layer 1, and the colour bar
    assert (np.abs(picture.astype(int) - yellow).sum(2) < 12).sum() > 100
    with pytest.raises(ValueError, match="no heat map"):
        draw_heatmap(make_trace(10, 0))
