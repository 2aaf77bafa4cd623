"""Episodes in a notebook: the viewer's page within a cell's output."""

from __future__ import annotations

import html
from collections.abc import Sequence

from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.viewer.page import viewer_page

HEIGHT = 900
"""Pixels of the page in a notebook, unless told otherwise."""


class EpisodeView:
    """Shows the viewer's page of one or several traces as the result of a notebook's cell.

    The page stands in a frame of ``height`` pixels that may run its own scripts and nothing else: it cannot read the
    notebook, and makes no request. Above it stands what the memory keeps in the first episode, in one sentence.

    Raises:
        ValueError: there is no trace, or ``height`` is no number of pixels.
    """

    def __init__(
        self, traces: EpisodeTrace | Sequence[EpisodeTrace], title: str = "", height: int = HEIGHT
    ) -> None:
        self.traces = [traces] if isinstance(traces, EpisodeTrace) else list(traces)
        if not self.traces:
            raise ValueError("EpisodeView shows at least one trace, got none; record one with record_episode")
        if height < 1:
            raise ValueError(f"height must be a number of pixels >= 1, got {height}")
        self.title, self.height = title or self.traces[0].summary, height

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.traces))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        sentence = html.escape(kept_sentence(self.traces[0]))
        page = html.escape(viewer_page(self.traces, self.title))
        return (
            f"{f'<p>{sentence}</p>' * bool(sentence)}"
            f'<iframe sandbox="allow-scripts" srcdoc="{page}" title="{html.escape(self.title)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )
