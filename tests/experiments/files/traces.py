"""Traces of episodes."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from expirespan.experiments.episodes.trace import KINDS as ARRAYS
from expirespan.experiments.episodes.trace import EpisodeTrace
from tests.experiments.files.damage import Files
from tests.experiments.files.foreign import npz, of_zips


def trace_file(folder: Path, which: int) -> Path:
    T, draw = 6, np.random.default_rng(which)
    birth = np.arange(T)
    trace = EpisodeTrace(
        observation=draw.integers(0, 9, (T, 3)).astype(np.float32),
        action=draw.integers(0, 3, T),
        reward=draw.random(T).astype(np.float32),
        value=draw.random(T).astype(np.float32),
        cue=birth < 1,
        span=draw.random((1, T)).astype(np.float32) * 9,
        alive=np.ones((1, T), np.int32),
        death=np.minimum(birth + 2, T)[None].astype(np.int32),
        about={"env": "ExpireSpan/Corridor-v0", "settings": {}, "seed": which, "success": True},
    )
    trace.save(folder / "trace.npz")
    return folder / "trace.npz"


def read_trace(path: Path) -> Any:
    trace = EpisodeTrace.load(path)
    arrays = {name: getattr(trace, name) for name in ARRAYS}
    return {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in arrays.items()}, json.dumps(trace.about)


def of_traces(content: bytes, other: bytes, draw: random.Random, count: int) -> Files:
    yield from of_zips(content, other, draw, count)
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files if name != "digest"}
    for name, array in arrays.items():
        if array.ndim == 0:
            continue
        bad = {"text": array.astype(str) if name not in ("text", "words") else array.astype(bool),
               "one less": array[:-1], "another axis": array[None, None], "complex": array.astype(complex)
               if array.dtype.kind != "U" else np.zeros(2, complex)}  # fmt: skip
        if array.dtype.kind == "f" and array.size:
            bad["NaN"] = np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array).astype(
                array.dtype
            )
        if not array.size:
            bad = {"NaN": np.full((3, 3, 3), np.nan)}
        for what, wrong in bad.items():
            yield f"{name}: {what}", npz(**arrays | {name: wrong})
