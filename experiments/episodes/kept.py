"""One sentence on an episode: which observations the memory keeps at its end, what they show, and for how long."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np

from expirespan.experiments.episodes.cue_retention import stretches
from expirespan.experiments.episodes.trace import Bools, EpisodeTrace

CUES, OTHERS = 3, 2
"""Most stretches of cues, and of other observations, that are named one by one."""
TEXT = 60
"""Characters of a text that are quoted."""


class _Stretch(NamedTuple):
    """Consecutive kept observations, ``first`` to ``last``, that are shown by the same words."""

    first: int
    last: int
    words: str
    cue: bool


def kept_sentence(trace: EpisodeTrace) -> str:
    """What the memory keeps at the end of an episode, in words; empty for a memory without learned spans.

    An observation is kept if at least one layer keeps a memory of it. Without words and texts in the trace,
    cues are called cues. At most `CUES` cues and `OTHERS` others are named, oldest
    first, beside those before the end that are kept without a gap.
    """
    if not trace.about.get("ramp") or not trace.layers:
        return ""
    T, kept = trace.steps, np.asarray(trace.kept.any(0))
    count = int(kept.sum())
    if count == T:
        return f"The agent keeps all {T:,} observations of the episode and deletes none."
    named, newest = _named(trace, kept), _newest(kept)
    rest = count - newest - sum(part.last - part.first + 1 for part in named)
    parts = [_age(part, T) for part in named]
    parts += [f"{rest:,} other{'s' * (rest > 1)}"] * bool(rest)
    parts += [f"the last {newest:,}{_with_cue(trace, newest)}"] * bool(newest)
    deleted = (trace.death.max(0) - np.arange(T))[~kept]
    return (
        f"The agent keeps {count:,} of {T:,} observations{': ' * bool(parts)}{_join(parts)}; it deletes the other "
        f"{T - count:,} after {np.median(deleted):,.0f} steps (median){_lost(trace, kept)}."
    )


def _named(trace: EpisodeTrace, kept: Bools) -> list[_Stretch]:
    """The stretches to name one by one, oldest first; those of cues come before others where there are too many."""
    before = kept.copy()
    before[trace.steps - _newest(kept) :] = False
    found = _stretches(trace, before)
    chosen = [part for part in found if part.cue][:CUES]
    chosen += [part for part in found if not part.cue][:OTHERS]
    return sorted(chosen)


def _stretches(trace: EpisodeTrace, chosen: Bools) -> list[_Stretch]:
    """The ``chosen`` observations (T,) as stretches with the same words."""
    found = []
    for first, last in stretches(chosen):
        steps = range(first, last + 1)
        for (words, cue), same in groupby(steps, lambda t: (words_at(trace, t), bool(trace.cue[t]))):
            part = list(same)
            found.append(_Stretch(part[0], part[-1], words, cue))
    return found


def words_at(trace: EpisodeTrace, t: int) -> str:
    """What the observation of step t shows: its text, quoted, or the environment's words for it."""
    if trace.text.size:
        text = " ".join(str(trace.text[t]).split())
        return f'"{text if len(text) <= TEXT else text[: TEXT - 3] + "..."}"'
    if trace.words.size:
        return str(trace.words[t])
    return "a cue" if trace.cue[t] else "what it saw"


def _newest(kept: Bools) -> int:
    """How many observations before the end are kept without a gap."""
    gaps = np.flatnonzero(~kept)
    return len(kept) - 1 - int(gaps[-1]) if len(gaps) else len(kept)


def _age(part: _Stretch, T: int) -> str:
    at = f"step {part.first:,}" if part.first == part.last else f"steps {part.first:,} to {part.last:,}"
    return f"{part.words} at {at} for {T - 1 - part.first:,} steps"


def _with_cue(trace: EpisodeTrace, newest: int) -> str:
    """The newest cue among the last observations, if there is one."""
    at = np.flatnonzero(trace.cue[trace.steps - newest :]) + trace.steps - newest
    return f" (with {words_at(trace, int(at[-1]))} at step {at[-1]:,})" if len(at) else ""


def _lost(trace: EpisodeTrace, kept: Bools) -> str:
    """The newest cue that was deleted, where no cue is kept."""
    if not trace.cue.any() or trace.cue[kept].any():
        return ""
    last = _stretches(trace, trace.cue)[-1]
    after = int(
        (trace.death[:, last.first : last.last + 1].max(0) - np.arange(last.first, last.last + 1)).max()
    )
    return f", {last.words} at step {last.last:,} after {after:,}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}" if parts else ""
