"""Pages of the viewer: one HTML text made from traces, of one agent or of two side by side."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.verdict import verdict
from expirespan.experiments.viewer.data import as_json, pack
from expirespan.experiments.viewer.pairs import Pair

SCRIPTS = ("read", "maths", "plots", "cards", "selected", "tables", "pane", "main")
"""Of the page, in the order in which they follow each other."""
_MARK = "THE-{}-OF-THE-PAGE"
_MARKS = re.compile(_MARK.format("[A-Z0-9]+"))


def viewer_page(traces: Sequence[EpisodeTrace], title: str) -> str:
    """One self-contained HTML page on which to move through these episodes; it makes no request.

    Raises:
        ValueError: there is no episode.
    """
    if not traces:
        raise ValueError("a viewer needs at least one episode")
    return _page([(trace,) for trace in traces], title)


def comparison_page(pairs: Sequence[Pair], names: tuple[str, str], title: str) -> str:
    """One page on which to move through episodes of two agents side by side, step by step.

    Raises:
        ValueError: there is no pair.
    """
    if not pairs:
        raise ValueError("a comparison needs at least one pair of episodes")
    told = [{"sentence": pair.sentence, "first": pair.first_difference} for pair in pairs]
    return _page([(pair.a, pair.b) for pair in pairs], title, names, told)


def _page(
    views: Sequence[tuple[EpisodeTrace, ...]], title: str, names: Sequence[str] = ("",), told: Any = None
) -> str:
    traces = list({id(trace): trace for view in views for trace in view}.values())
    number = {id(trace): i for i, trace in enumerate(traces)}
    data = {
        "episodes": [pack(trace) for trace in traces],
        "views": [[number[id(trace)] for trace in view] for view in views],
        "compared": told,
        "names": list(names),
    }
    texts = {"TITLE": html.escape(title), "EPISODES": as_json(data)}
    for i, trace in enumerate(views[0]):
        texts[f"VERDICT{i}"], texts[f"NAME{i}"] = html.escape(verdict(trace)), html.escape(names[i])
    texts["COMPARED"] = html.escape(told[0]["sentence"]) if told else ""
    filled = {_MARK.format(name): text for name, text in texts.items()}
    return "".join(filled.get(part, part) for part in _empty_page(len(views[0])))


@cache
def _empty_page(panes: int) -> list[str]:
    """What is the same on every page, cut at the marks of what is not: Bokeh is slow."""
    from expirespan.experiments.viewer import figures  # takes half a second to import

    here = files(__package__) / "static"
    read = {path.name: path.read_text(encoding="utf-8") for path in here.iterdir() if path.is_file()}
    variables = {
        "style": read["page.css"],
        "colours": figures.COLOURS,
        "attention": figures.ATTENTION,
        "named": figures.NAMED,
        "margins": (figures.LEFT, figures.RIGHT),
        "panes": range(panes),
        "mark": _MARK.format,
    }
    script = "\n".join(read[f"{name}.js"] for name in SCRIPTS)
    page = figures.render(_MARK.format("TITLE"), read["page.html"], variables, script, panes)
    cut, at = [], 0
    for found in _MARKS.finditer(page):
        cut += [page[at : found.start()], found.group()]
        at = found.end()
    return [*cut, page[at:]]
