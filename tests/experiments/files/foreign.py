"""Files of other kinds than expected, and what is done to every zip."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import torch

from tests.experiments.files import damage
from tests.experiments.files.damage import Files


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


FOREIGN = [
    damage.packed([]), damage.packed([("data", b"{}")]), damage.packed([("readme.txt", b"hello")]),
    npz(value=np.zeros(3), span=np.zeros((1, 3))), saved({"model": torch.zeros(3)}), b"{}", b"[1, 2]", b"null",
    b"[" * 100_000, b'{"a":' * 100_000, b"\x89PNG\r\n\x1a\n" + bytes(50), b"a,b\n1,2\n", b"\xff\xfe\x00",
]  # fmt: skip
"""Files of other kinds."""


def of_zips(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from damage.of_bytes(content, draw, count)
    yield from damage.of_members(content, other, FOREIGN)
