"""Page of the viewer: one HTML text made from traces."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.viewer.data import as_json, pack

_TITLE, _EPISODES = "THE-TITLE-OF-THE-PAGE", "THE-EPISODES-OF-THE-PAGE"


def viewer_page(traces: Sequence[EpisodeTrace], title: str) -> str:
    """One self-contained HTML page on which to move through these episodes; it makes no request.

    Raises:
        ValueError: there is no episode.
    """
    if not traces:
        raise ValueError("a viewer needs at least one episode")
    before, between, after, end = _empty_page()
    title, episodes = html.escape(title), as_json([pack(trace) for trace in traces])
    return "".join([before, title, between, title, after, episodes, end])


@cache
def _empty_page() -> list[str]:
    """What is the same on every page, cut where its title, its title again, and its episodes go: Bokeh is slow."""
    from expirespan.experiments.viewer import figures  # takes half a second to import

    here = files(__package__)
    read = {name: (here / f"viewer.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    variables = {"style": read["css"], "episodes": _EPISODES, "colours": figures.COLOURS}
    page = figures.render(_TITLE, read["html"], variables, read["js"])
    top, heading, rest = page.split(_TITLE)
    return [top, heading, *rest.split(_EPISODES)]
