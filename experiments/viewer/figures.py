"""The figures of the page, empty: the page's script fills them with the episode chosen. Only this file knows Bokeh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from bokeh.resources import INLINE

from expirespan.experiments.pictures.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, SKY, YELLOW

LEFT, RIGHT = 56, 14
"""Pixels beside every figure's axes, more than any labels need, so that the timelines lie above each other; the page
marks steps there itself, because to draw a figure again for every step is slow."""
NAMED = {
    "agent": BLUE, "window": GREY, "cue": GREEN, "chosen": PINK, "attention": ORANGE, "shift": YELLOW,
    "reward": SKY, "step": BLACK,
}  # fmt: skip
"""Colours of the page, one for each thing."""
_WEIGHTS = [
    "#" + "".join(f"{round(255 + (int(ORANGE[c : c + 2], 16) - 255) * i / 255):02x}" for c in (1, 3, 5))
    for i in range(256)
]
ATTENTION = [_WEIGHTS[0], _WEIGHTS[255]]
"""Of attention received, from none to most, for the legend."""
COLOURS = [Cividis256[i] for i in range(0, 256, 51)]
"""Of the heat maps, from short to long spans, for the legend."""


def render(title: str, template: str, variables: Mapping[str, Any], script: str, panes: int) -> str:
    """The page: ``template`` filled with the figures of each pane, named like ``overview0``, and ``script`` run."""
    document = Document()
    for pane in range(panes):
        for name, plot in _figures().items():
            plot.name = f"{name}{pane}"
            document.add_root(plot)
    document.js_on_event(DocumentReady, CustomJS(code=script))
    return str(file_html(document, INLINE, title, template=template, template_variables=dict(variables)))


def _figures() -> dict[str, Any]:
    time = Range1d(-0.5, 0.5)
    spans = LogColorMapper(palette=Cividis256, low=1, high=2, name="spans")
    weights = LinearColorMapper(palette=_WEIGHTS, low=0, high=1, name="weights")
    figures = {
        "overview": _heat_map(time, spans, "span", "{0,0.0}"),
        "detail": _heat_map(Range1d(-0.5, 0.5), spans, "span", "{0,0.0}"),
        "received": _heat_map(time, weights, "attention received", "{0.000}"),
        "alive": _lines(time, [("kept", NAMED["agent"], "solid"), ("window", NAMED["window"], "dashed")]),
        "shift": _lines(time, [("shift", NAMED["shift"], "solid")]),
        "reward": _lines(time, [("value", NAMED["agent"], "solid")], rewards=True),
    }
    forgotten = LinearColorMapper(palette=["#ffffff00", "#ffffffc8"], low=0, high=1)
    _image(figures["detail"], "forgotten", forgotten, "uint8")
    return figures


def _figure(time: Range1d, height: int, **more: Any) -> Any:
    plot = figure(
        height=height, x_range=time, sizing_mode="stretch_width", tools="", toolbar_location=None,
        min_border_left=LEFT, min_border_right=RIGHT, outline_line_color=None, **more,
    )  # fmt: skip
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.xaxis.ticker.num_minor_ticks = 0
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = GREY
    plot.axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#e5e5e5"
    return plot


def _heat_map(time: Range1d, mapper: Any, what: str, format: str) -> Any:
    plot = _figure(time, 120, y_range=Range1d(1.5, 0.5))
    plot.yaxis.ticker = FixedTicker(ticks=[1])
    plot.grid.visible = False
    glyph = _image(plot, "image", mapper, "float32")
    tips = [("timestep", "$x{0,0}"), ("layer", "$y{0}"), (what, f"@image{format}")]
    plot.add_tools(HoverTool(renderers=[glyph], tooltips=tips))
    cues = ColumnDataSource(data=dict(x=[], y=[]), name="cues")
    plot.scatter(
        "x", "y", source=cues, marker="inverted_triangle", size=9, color=NAMED["cue"], line_color="white"
    )
    return plot


def _image(plot: Any, name: str, mapper: Any, dtype: str) -> Any:
    blank = np.zeros((1, 1), dtype)
    source = ColumnDataSource(data=dict(image=[blank], x=[-0.5], y=[0.5], dw=[1], dh=[1]), name=name)
    return plot.image(
        image="image", x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=mapper, name=name
    )


def _lines(time: Range1d, lines: list[tuple[str, str, str]], rewards: bool = False) -> Any:
    plot = _figure(time, 120, y_range=Range1d(0, 1))
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[00]a")
    names = [name for name, _, _ in lines]
    source = ColumnDataSource(data={name: [] for name in ("x", *names)}, name="lines")
    drawn = [
        plot.line("x", name, source=source, color=colour, line_dash=dash, line_width=2)
        for name, colour, dash in lines
    ]
    tips = [("timestep", "@x{0,0}"), *((name, f"@{name}{{0,0.[000]}}") for name in names)]
    plot.add_tools(HoverTool(renderers=drawn[:1], tooltips=tips, mode="vline"))
    if rewards:
        stems = ColumnDataSource(data=dict(x=[], reward=[], zero=[]), name="rewards")
        plot.segment("x", "zero", "x", "reward", source=stems, color=NAMED["reward"], line_width=2)
        dots = plot.scatter("x", "reward", source=stems, color=NAMED["reward"], size=6)
        plot.add_tools(HoverTool(renderers=[dots], tooltips=[("timestep", "@x{0,0}"), ("reward", "@reward")]))
    return plot
