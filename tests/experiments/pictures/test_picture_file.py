"""Formats of pictures, colours that all can tell apart, and texts that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from expirespan.experiments.bench import costs
from expirespan.experiments.bench.costs import Cost
from expirespan.experiments.pictures import palette, picture_file
from expirespan.experiments.pictures.kept_texts import LENGTH, draw_texts, kept_texts, short
from expirespan.experiments.pictures.picture_file import write_picture
from expirespan.experiments.pictures.retention import draw_retention
from expirespan.experiments.sequence import results
from expirespan.experiments.settings.errors import UserError


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".SVG"])
def test_the_suffix_chooses_the_format(make_trace: Any, tmp_path: Path, suffix: str) -> None:
    path = draw_retention(make_trace(30), tmp_path / f"picture{suffix}")
    data = path.read_bytes()
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    elif suffix == ".pdf":
        assert data.startswith(b"%PDF") and b"/Type3" not in data, "fonts that journals accept"
    else:
        assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    assert draw_retention(make_trace(30), tmp_path / f"again{suffix}").read_bytes() == data


@pytest.mark.parametrize("name", ["picture.jpeg", "picture", "missing/picture.png"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UserError, match=r"picture=.*: expected a file that ends in \.png, \.svg, \.pdf, in an"
    ):
        write_picture(Figure(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_lines_are_told_apart_without_colours() -> None:
    lines = [palette.line(i) for i in range(20)]
    assert len({tuple(line.items()) for line in lines}) == 20
    assert len({(line["marker"], line["linestyle"]) for line in lines[:5]}) == 5
    assert {line["color"] for line in lines} == set(palette.LAYERS)


def test_a_memory_has_one_colour_in_every_picture() -> None:
    many = ["gru", "none", "expire_span", "fixed_window:52", "mine", "fixed_window:107", "lstm"]
    looks = dict(zip(many, palette.memory_lines(many), strict=True))
    for memory in ("gru", "lstm", "expire_span", "fixed_window:52", "fixed_window:107"):
        assert looks[memory]["color"] == palette.MEMORIES[memory.partition(":")[0]]
    assert len({look["color"] for look in looks.values()}) == 6, "two windows share theirs"
    assert len({look["marker"] for look in looks.values()}) == len(many)
    assert looks["fixed_window:52"]["linestyle"] != looks["fixed_window:107"]["linestyle"]
    assert len(palette.memory_lines([f"mine{i}" for i in range(30)])) == 30


def drawn(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(module, "write_picture", lambda figure, path: figures.append(figure) or path)
    return figures


def test_costs_and_sequences_use_these_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch, picture_file)
    names = ("a", "b", "c")
    costs.draw([Cost(n, r, 1.0, 2.0, 3.0, 4.0, 5.0) for n in names for r in (16, 32)], Path("x.png"))
    curve = [{"update": 1, "accuracy": 0.5, "alive": [3, 4]}, {"update": 2, "accuracy": 0.6, "alive": [3, 4]}]
    own = drawn(monkeypatch, results)
    results.draw({n: {"chance": 0.1, "evaluations": curve} for n in names}, Path("x.png"))
    for figure in (figures[0], own[0]):
        for axes in figure.axes:
            used = [to_hex(line.get_color()) for line in axes.lines][:3]
            assert used == list(palette.LAYERS[:3])
            assert len({line.get_marker() for line in axes.lines[:3]}) == 3


def text_trace(make_trace: Any, steps: int = 12) -> Any:
    """Cues at steps 0 and 1, kept; the last three are kept too; a line is long and has signs of mathematics."""
    from dataclasses import replace

    lines = [f"line {t}" for t in range(steps)]
    lines[0], lines[-1] = "the key costs $5 and\n_not_ $6", "word " * 60
    return replace(make_trace(steps), text=np.array(lines))


def test_texts_kept_are_written_out(make_trace: Any, tmp_path: Path) -> None:
    trace = text_trace(make_trace)
    shown = kept_texts(trace)
    assert shown.tolist() == [0, 1, 9, 10, 11]
    assert kept_texts(trace, 3).tolist() == [0, 1, 9], "of equal spans the older first"
    axes = Figure().add_subplot()
    draw_texts(axes, trace, shown)
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == "the lines that are remembered at the end"
    assert texts[1:4] == ["t = 0", "layer 1, span 12", "the key costs $5 and _not_ $6"]
    assert texts[-1] == short("word " * 60) and len(texts[-1]) <= LENGTH and texts[-1].endswith("...")
    colours = [to_hex(line.get_color()) for line in axes.lines]
    assert colours == [palette.CUE] * 2 + [palette.ALIVE] * 3
    paths = (
        draw_retention(trace, tmp_path / "text.png"),
        draw_retention(make_trace(12), tmp_path / "plain.png"),
    )
    with Image.open(paths[0]) as picture, Image.open(paths[1]) as plain:
        assert picture.height > plain.height + 100


def test_recorded_pictures_serve_where_nothing_draws(make_trace: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    frames = np.full((1, 8, 8, 3), [1, 2, 250], np.uint8)
    trace = replace(make_trace(12), frames=frames, frame=np.zeros(12, np.int32))
    pixels = np.asarray(Image.open(draw_retention(trace, tmp_path / "picture.png")).convert("RGB"))
    assert (pixels == [1, 2, 250]).all(-1).any()
