"""The viewer: episodes as one HTML file that shows what an agent keeps, for how long, and what it reads.

`page.py` joins the parts: the episodes as `data.py` packs them, the figures of `figures.py`, the only file that knows
Bokeh, and the page of `static`, whose scripts move through time. `command.py` is ``expirespan view``;
`notebook.py` shows the page in a notebook, `video.py` writes a video.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expirespan.experiments.viewer.notebook import EpisodeView
    from expirespan.experiments.viewer.page import viewer_page

_LAZY = {
    "EpisodeView": "notebook",
    "viewer_page": "page",
}
__all__ = ["EpisodeView", "viewer_page"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
