"""Values that may be logged beside scalars, `Histogram` and SB3's `Image`. Writers leave out what they cannot show."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]
"""(height, width, 3) uint8."""


@dataclass(frozen=True)
class Table:
    """``rows`` of as many cells as there are ``columns``: numbers, texts, a `Picture`, or None."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Page:
    """A whole HTML page, as text."""

    html: str


@dataclass(frozen=True)
class Movie:
    """Frames of one size, shown one after another.

    ``frames`` (n, height, width, 3) uint8, n >= 1; ``fps``: frames per second.
    """

    frames: npt.NDArray[np.uint8]
    fps: float

    def gif(self) -> bytes:
        """As an animated GIF with one palette of 256 colours, that of the frames put together."""
        sample = self.frames[:: max(1, len(self.frames) // 8)]
        palette = Image.fromarray(np.concatenate(list(sample))).quantize(256, dither=Image.Dither.NONE)
        first, *rest = (
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self.frames
        )
        file = BytesIO()
        first.save(
            file, "GIF", save_all=True, append_images=rest, duration=1000 / self.fps, loop=0, optimize=False
        )
        return file.getvalue()
