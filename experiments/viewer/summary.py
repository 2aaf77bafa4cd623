"""What the page shows besides the steps: verdict and tables; and what the steps read, thinned in long episodes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from expirespan.experiments.episodes.kept import words_at
from expirespan.experiments.episodes.trace import EpisodeTrace, Floats, Ints
from expirespan.experiments.episodes.verdict import (
    Kept,
    decisive,
    kinds,
    longest_kept,
    readings,
    stayed,
    verdict,
)

ROWS = 8
"""Rows of the tables, at most."""
READ_BYTES = 500_000
"""Bytes of what an episode's steps read, before compression, at most: of a longer one every n-th step is stored."""


class Reads(NamedTuple):
    """What the steps stored read: arrays with an entry per step stored, and the sizes of their axes."""

    arrays: dict[str, npt.NDArray[Any]]
    sizes: dict[str, int]


def summarise(trace: EpisodeTrace) -> dict[str, Any]:
    """The verdict, the decisive step, and the rows of the tables, JSON-able."""
    found = readings(trace)
    use = decisive(trace, found=found)
    rows, others = _rows(trace)
    uses = [(row, decisive(trace, row.step, found)) for row in rows]
    groups = kinds(trace)
    return {
        "verdict": verdict(trace),
        "decisive": use and {"step": use.step, "memory": use.memory, "whatIf": use.what_if},
        "longest": [
            {
                "step": row.step,
                "words": words_at(trace, row.step),
                "span": _finite(row.span),
                "layer": row.layer + 1,
                "stayed": row.stayed,
                "kept": bool(trace.kept[row.layer, row.step]),
                "use": best and {"step": best.step, "amount": best.amount},
            }
            for row, best in uses
        ],
        "others": others,
        "kinds": [
            {
                "step": int(kind.steps[trace.finite_span.max(0)[kind.steps].argmax()]),
                "cue": bool(trace.cue[kind.steps[0]]),
                "seen": len(kind.steps),
                "median": kind.median_span,
                "span": kind.longest_span,
                "kept": kind.kept,
            }
            for kind in groups[:ROWS]
        ],
        "kindsLeftOut": max(0, len(groups) - ROWS),
    }


def pack_reads(trace: EpisodeTrace) -> Reads:
    """Attention and what-if of as many steps as `READ_BYTES` holds, the decisive ones and the last among them."""
    steps = stored_steps(trace)
    arrays: dict[str, npt.NDArray[Any]] = {
        "stored": steps,
        "attended": trace.attended[:, steps] if trace.attended.size else trace.attended,
        "attention": (trace.attention[:, steps] if trace.attention.size else trace.attention).astype(
            np.float32
        ),
        "heads": trace.heads[:, steps] if trace.heads.size else trace.heads,
        "strongest": strongest(trace),
    }
    arrays["attention"] = np.round(arrays["attention"] * 65535).astype(np.uint16)
    for name in ("probability", "removed", "without", "value_without", "shift"):
        array = getattr(trace, name)
        array = array[steps] if array.size else array
        arrays[name] = array if name == "removed" else np.round(array, 4)
    return Reads(
        arrays,
        {
            "every": _stride(trace),
            "k": trace.attended.shape[2] if trace.attended.size else 0,
            "H": trace.heads.shape[3] if trace.heads.size else 0,
            "K": trace.removed.shape[1] if trace.removed.size else 0,
            "A": trace.probability.shape[1] if trace.probability.size else 0,
        },
    )


def stored_steps(trace: EpisodeTrace) -> Ints:
    """(S,) steps whose attention and what-if the page has: every n-th, and where an old memory mattered most."""
    found = readings(trace)
    rows = [decisive(trace, row.step, found) for row in _rows(trace)[0]]
    special = {use.step for use in (decisive(trace, found=found), *rows) if use} | {trace.steps - 1}
    return np.asarray(sorted({*range(0, trace.steps, _stride(trace)), *special}), np.int32)


def _rows(trace: EpisodeTrace) -> tuple[list[Kept], int | None]:
    """The memories kept for longer than most are, and the steps for which the next was kept; at least one memory."""
    if not trace.layers:
        return [], None
    found, stays = longest_kept(trace, ROWS + 1), stayed(trace).max(0)
    rows = [row for row in found[:ROWS] if row.stayed > np.median(stays)] or found[:1]
    return rows, found[len(rows)].stayed if len(found) > len(rows) else None


def strongest(trace: EpisodeTrace) -> Floats:
    """(T,) the greatest shift at each step by the removal of one old memory, in nats; empty if not recorded."""
    if not trace.shift.size:
        return np.zeros(0, np.float32)
    age = np.arange(trace.steps)[:, None] - trace.removed
    old = (trace.removed >= 0) & (age > float(trace.about.get("ramp") or 0))
    shift: Floats = np.where(old, np.nan_to_num(trace.shift), 0).max(1).astype(np.float32)
    return shift


def _stride(trace: EpisodeTrace) -> int:
    read = (trace.attended, trace.attention, trace.heads, trace.removed, trace.without, trace.shift)
    size = sum(array.size * min(array.dtype.itemsize, 4) for array in read)
    return max(1, math.ceil(size / READ_BYTES))


def _finite(span: float) -> float | None:
    return span if math.isfinite(span) else None
