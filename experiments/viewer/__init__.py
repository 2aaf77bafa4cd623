"""The viewer: episodes as one HTML file that shows what an agent keeps, for how long, and what it reads.

`page.py` joins the parts: the episodes as `data.py` packs them, the figures of `figures.py`, the only file that knows
Bokeh, and `viewer.html`, `.css` and `.js`, which move through time. `command.py` is ``expirespan view``.
"""

from expirespan.experiments.viewer.page import viewer_page

__all__ = ["viewer_page"]
