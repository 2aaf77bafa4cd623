"""Pictures of text: the last lines that were read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from expirespan.envs.instruction.lines import Lines

__all__ = ["draw_lines", "last_lines"]

SHOWN: Final = 8
"""Lines in a picture."""
WIDTH: Final = 1040
NUMBERS, TEXTS = 48, 60  # where line numbers end and lines begin
LINE_HEIGHT: Final = 24


def last_lines(source: Lines, tokens: npt.NDArray[Any], cues: Collection[int], at: int) -> list[str]:
    """The lines up to number ``at``, `SHOWN` of them, empty ones first: each after its number, or ``*`` for a cue."""
    texts = []
    for i in range(at - SHOWN + 1, at + 1):
        text = source.decode(tokens[i].tolist()) if 0 <= i < len(tokens) else ""
        texts.append(f"{'*' if i in cues else ' '}{i:5} {text}" if text else "")
    return texts


def draw_lines(lines: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Draw such lines as uint8 (192, 1040, 3): the last one white, cues yellow, the others grey."""
    from PIL import Image, ImageDraw, ImageFont  # takes a while to import, and only pictures need it

    image = Image.new("RGB", (WIDTH, LINE_HEIGHT * SHOWN))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for row, line in enumerate(lines):
        colour = (
            (255, 210, 60)
            if line.startswith("*")
            else (235, 235, 235)
            if row == SHOWN - 1
            else (140, 140, 140)
        )
        y = row * LINE_HEIGHT + 3
        draw.text((NUMBERS, y), line[:6].replace(" ", ""), fill=colour, font=font, anchor="ra")
        draw.text((TEXTS, y), line[7:], fill=colour, font=font)
    return np.asarray(image).copy()
