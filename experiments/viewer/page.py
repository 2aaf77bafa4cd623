"""The page: traces in, one HTML text out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from expirespan.experiments.trace import EpisodeTrace
from expirespan.experiments.viewer.data import as_json, pack


def viewer_page(traces: Sequence[EpisodeTrace], title: str) -> str:
    """One self-contained HTML page on which to move through these episodes; it makes no request.

    Raises:
        ValueError: there is no episode.
    """
    if not traces:
        raise ValueError("a viewer needs at least one episode")
    from expirespan.experiments.viewer import figures  # Bokeh takes half a second to import

    here = files(__package__)
    read = {name: (here / f"viewer.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    episodes = as_json([pack(trace) for trace in traces])
    variables = {"style": read["css"], "episodes": episodes, "colours": figures.COLOURS}
    return figures.render(title, read["html"], variables, read["js"])
