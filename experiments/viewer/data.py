"""Episodes as the page reads them: numbers as compressed bytes, pictures on sheets, nothing that is markup."""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from expirespan.experiments.episodes.frames import Frames
from expirespan.experiments.episodes.trace import EpisodeTrace, Ints
from expirespan.experiments.tracking.log_values import Picture
from expirespan.experiments.viewer.summary import pack_reads, summarise

Array = npt.NDArray[Any]

SHEET = 16
"""Pictures on a side of a sheet."""
PICTURE_BYTES = 12_000_000
"""Bytes of an episode's pictures, at most, before compression."""
MOST_COMPONENTS = 1024
"""Components of an observation that are drawn as cells, where nothing else shows it."""
LIGHT, DARK = 245, 40
"""Grey of a component's least and greatest value."""
MOST_VALUES = 16
"""Components of observations and actions that are also given as numbers."""
TYPES = {
    "f4": "Float32Array",
    "i4": "Int32Array",
    "u2": "Uint16Array",
    "u1": "Uint8Array",
    "b1": "Uint8Array",
}


def reach(trace: EpisodeTrace) -> int:
    """Steps that a fixed window must span to read all that this episode's memory read, the reading step included."""
    if not trace.layers:
        return 0
    last = np.minimum(trace.death, trace.steps - 1)
    return int((last - np.arange(trace.steps)).max()) + 1


def window_alive(trace: EpisodeTrace) -> Ints:
    """(T,) memories, over all layers, of a Transformer-XL that reaches as far back: it keeps every state so long."""
    return (trace.layers * np.minimum(np.arange(trace.steps) + 1, reach(trace))).astype(np.int32)


def pack(trace: EpisodeTrace) -> dict[str, Any]:
    """One episode: facts, arrays as gzip in base64 by name, pictures as PNG in base64."""
    T = trace.steps
    pictures, number = _pictures(trace)
    components = trace.observation.reshape(T, -1) if trace.observed else np.zeros((T, 0))
    shown = (
        components if 0 < components.shape[1] <= MOST_VALUES and not trace.text.size else components[:, :0]
    )
    action = trace.action.reshape(T, -1)[:, :MOST_VALUES]
    words, said = np.unique(trace.words, return_inverse=True)
    sums, reads = summarise(trace), pack_reads(trace)
    arrays = reads.arrays | {
        "span": np.minimum(trace.span, np.float32(3e38)),
        "death": trace.death,
        "alive": trace.alive,
        "window": window_alive(trace),
        "reward": trace.reward,
        "value": trace.value,
        "cue": trace.cue,
        "frame": number,
        "said": said.astype(np.int32),
        "action": action.astype(np.float32),
        "observation": shown.astype(np.float32),
    }
    return {
        "T": T,
        "L": trace.layers,
        "ramp": float(trace.about.get("ramp") or 0),
        "reach": reach(trace),
        "picture": list(pictures.shape[1:3]),
        "discrete": trace.action.dtype.kind in "iub",
        "components": shown.shape[1],
        "actions": _names(trace.about.get("actions")),
        "words": words.tolist(),
        "facts": _facts(trace),
        **sums,
        **reads.sizes,
        "text": _squeeze(json.dumps(trace.text.tolist()).encode()) if trace.text.size else None,
        "arrays": {name: [TYPES[a.dtype.str[1:]], _squeeze(_bytes(a))] for name, a in arrays.items()},
        "sheets": [_sheet(pictures[i : i + SHEET**2]) for i in range(0, len(pictures), SHEET**2)],
    }


def as_json(value: Any) -> str:
    """JSON that may stand in a script element: no character of it can end the element or begin another."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _pictures(trace: EpisodeTrace) -> tuple[Picture, Ints]:
    """Pictures within `PICTURE_BYTES` and which one each step shows."""
    if trace.frames.size and trace.frame.size:
        frames = Frames(budget=PICTURE_BYTES)
        renumber = [frames.add(picture) for picture in trace.frames]
        at = np.asarray([*renumber, -1], np.int32)
        return frames.array(), at[trace.frame]
    if trace.text.size or not trace.observed:
        return np.zeros((0, 1, 1, 3), np.uint8), np.full(trace.steps, -1, np.int32)
    frames = Frames(budget=PICTURE_BYTES)
    number = [frames.add(cells) for cells in _cells(trace.observation.reshape(trace.steps, -1))]
    return frames.array(), np.asarray(number, np.int32)


def _cells(observation: Array) -> Picture:
    """Observations (T, D) as small pictures of one cell per component: from light, its least value, to dark."""
    values = observation[:, :MOST_COMPONENTS].astype(np.float64)
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(0)
    high = np.where(finite, values, -np.inf).max(0)
    place = np.clip((np.nan_to_num(values) - low) / np.maximum(high - low, 1e-12), 0, 1)
    place = np.nan_to_num(np.where(high > low, place, 0.5), nan=0.5)
    colours = np.repeat((LIGHT + (DARK - LIGHT) * place)[..., None], 3, -1)
    T, D = place.shape
    width = int(np.ceil(np.sqrt(D)))
    height = -(-D // width)
    picture = np.full((T, height * width, 3), 255, np.uint8)
    picture[:, :D] = colours.round()
    return picture.reshape(T, height, width, 3)


def _sheet(pictures: Picture) -> str:
    """Pictures side by side, `SHEET` in a row, as PNG."""
    U, height, width, _ = pictures.shape
    rows = -(-U // SHEET)
    sheet = np.full((rows * SHEET, height, width, 3), 255, np.uint8)
    sheet[:U] = pictures
    sheet = sheet.reshape(rows, SHEET, height, width, 3).swapaxes(1, 2).reshape(rows * height, -1, 3)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _facts(trace: EpisodeTrace) -> str:
    about = trace.about
    parts = [
        str(about.get("env") or "episode").removeprefix("ExpireSpan/"),
        f"{trace.steps:,} steps",
        trace.outcome,
        f"return {trace.reward.sum():.4g}",
        f"seed {about['seed']}" if about.get("seed") is not None else "",
        f"trained {about['trained_steps']:,} steps" if about.get("trained_steps") else "",
    ]
    return " · ".join(part for part in parts if part)


def _names(actions: Any) -> list[str]:
    return [str(name) for name in actions] if isinstance(actions, list) else []


def _bytes(array: Array) -> bytes:
    little = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little).tobytes()


def _squeeze(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
