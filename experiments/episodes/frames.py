"""Small pictures of an episode: equal ones are stored once, and their bytes are bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from PIL import Image

from expirespan.experiments.tracking.log_values import Picture

SIDE = 96
"""Pixels of a picture's longer side, at most."""
ImageOf = Callable[[Any], Picture]
"""Draws one observation as (height, width, 3) uint8."""
BUDGET = 24_000_000
"""Bytes of all pictures of an episode, at most, before compression."""


class Frames:
    """Pictures (height, width, 3) of one size, numbered in the order in which new ones come.

    When they outgrow ``budget`` bytes all are halved in size, so that an episode of any length and any content fits.
    """

    def __init__(self, side: int = SIDE, budget: int = BUDGET) -> None:
        self._side, self._budget = side, budget
        self._pictures: list[Picture] = []
        self._numbers: dict[bytes, int] = {}

    def add(self, picture: Picture) -> int:
        """Number of the picture: that of an equal one before, or a new one."""
        small = shrink(picture, self._side)
        key = _key(small)
        if key not in self._numbers:
            self._numbers[key] = len(self._pictures)
            self._pictures.append(small)
            number = self._numbers[key]
            while sum_bytes(self._pictures) > self._budget and self._side > 1:
                self._halve()
            return number
        return self._numbers[key]

    def _halve(self) -> None:
        self._side = max(self._pictures[0].shape[:2]) // 2
        self._pictures = [shrink(picture, self._side) for picture in self._pictures]
        self._numbers = {}
        for number, picture in enumerate(self._pictures):
            self._numbers.setdefault(_key(picture), number)

    def array(self) -> Picture:
        """All of them: (U, height, width, 3)."""
        return np.stack(self._pictures) if self._pictures else np.zeros((0, 1, 1, 3), np.uint8)


def shrink(picture: Picture, side: int) -> Picture:
    """The picture with a longer side of at most ``side`` pixels, averaged."""
    height, width = picture.shape[:2]
    if max(height, width) <= side:
        return np.ascontiguousarray(picture)
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def sum_bytes(pictures: list[Picture]) -> int:
    """Bytes of pictures of one size."""
    return len(pictures) * pictures[0].nbytes if pictures else 0


def as_picture(space: spaces.Space[Any], observation: Any) -> Picture | None:
    """An observation that is a picture, or holds one, as (height, width, 3); None if it is none.

    Of stacked pictures the last is taken. What counts as one: uint8 with three axes, two of 8 or more.
    """
    if isinstance(space, spaces.Dict):
        found = (as_picture(part, observation[name]) for name, part in space.spaces.items())
        return next((picture for picture in found if picture is not None), None)
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return None
    pixels = np.asarray(observation)
    if pixels.shape[0] < min(pixels.shape[1:]):  # channels first
        pixels = pixels.transpose(1, 2, 0)
    if min(pixels.shape[:2]) < 8:
        return None
    colours = pixels[..., -3:] if pixels.shape[2] % 3 == 0 else pixels[..., -1:].repeat(3, 2)
    return np.ascontiguousarray(colours)


def _key(picture: Picture) -> bytes:
    return hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
