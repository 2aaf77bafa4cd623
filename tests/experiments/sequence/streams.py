"""What tests of streams share."""

from pathlib import Path

import numpy as np
from hypothesis import settings

from expirespan.experiments.sequence.stream import Block, Stream

QUICK = settings(derandomize=True, deadline=None, max_examples=20)


def joined(stream: Stream, *steps: int) -> Block:
    blocks = [stream.block(n) for n in steps]
    return Block(*(np.concatenate(parts, 1) for parts in zip(*blocks, strict=True)))


def text(tmp_path: Path, data: bytes = bytes(range(100))) -> Path:
    path = tmp_path / "text"
    path.write_bytes(data)
    return path
