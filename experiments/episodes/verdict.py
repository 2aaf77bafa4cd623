"""What an episode's memory kept, for how long, and what for: a sentence, the decisive step, the memories kept longest.

A memory is *old* at a step if its age is above the ramp: every memory becomes as old as the ramp, so that a memory that
is older was given a span. Where no memory becomes so old, all but a step's own count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from expirespan.experiments.episodes.kept import words_at
from expirespan.experiments.episodes.trace import EpisodeTrace, Floats, Ints

SLIGHT = 0.01
"""Nats: a memory whose removal shifts no step's actions by more made no difference."""


class Decisive(NamedTuple):
    """Step ``step`` read the old memory of step ``memory``.

    ``amount``: the shift of its actions without that memory, in nats, where ``what_if``; otherwise the attention that
    the step gave to it, mean over layers.
    """

    step: int
    memory: int
    amount: float
    what_if: bool


class Kept(NamedTuple):
    """The memories of step ``step``: ``span`` given by ``layer``, which kept one for longest; ``stayed``: steps for
    which it could be read until the episode ended.
    """

    step: int
    span: float
    layer: int
    stayed: int


class Kind(NamedTuple):
    """Observations of one kind: ``steps`` at which they were seen, their median and longest span (largest over
    layers), and how many were kept at the end.
    """

    steps: Ints
    median_span: float
    longest_span: float
    kept: int


class Readings(NamedTuple):
    """Steps (n,), the memories that they read (n,), and how much that mattered (n,), as in `Decisive`."""

    step: Ints
    memory: Ints
    amount: Floats
    what_if: bool


def readings(trace: EpisodeTrace) -> Readings:
    """All that is recorded of what the steps read."""
    if trace.shift.size:
        step, place = np.nonzero(trace.removed >= 0)
        memory, amount = trace.removed[step, place], trace.shift[step, place]
        return Readings(step.astype(np.int32), memory, np.nan_to_num(amount.astype(np.float32)), True)
    if not trace.attended.size:
        return Readings(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), False)
    layer, reader, place = np.nonzero(trace.attended >= 0)
    read, weight = trace.attended[layer, reader, place], trace.attention[layer, reader, place]
    pairs, at = np.unique(reader * trace.steps + read, return_inverse=True)
    mean = np.bincount(at, weight.astype(np.float64), len(pairs)) / trace.layers
    step, memory = (pairs // trace.steps).astype(np.int32), (pairs % trace.steps).astype(np.int32)
    return Readings(step, memory, mean.astype(np.float32), False)


def decisive(trace: EpisodeTrace, of: int | None = None, found: Readings | None = None) -> Decisive | None:
    """The step, and the old memory (that of step ``of`` if given), with the greatest shift or attention; the last if
    several are equal. None if no step read another's memory. ``found``: the trace's `readings`, if they are at hand.
    """
    step, memory, amount, what_if = found or readings(trace)
    age = step - memory
    for youngest in (float(trace.about.get("ramp") or 0), 0.0):
        old = (age > youngest) & ((memory == of) if of is not None else True)
        if old.any():
            best = np.flatnonzero(old & (amount >= amount[old].max()))[-1]
            return Decisive(int(step[best]), int(memory[best]), float(amount[best]), what_if)
    return None


def stayed(trace: EpisodeTrace) -> Ints:
    """(L, T): steps for which each memory could be read until the episode ended."""
    return (np.minimum(trace.death, trace.steps - 1) - np.arange(trace.steps)).astype(np.int32)


def longest_kept(trace: EpisodeTrace, most: int) -> list[Kept]:
    """The steps whose memories could be read for longest, in the layer that kept each for longest; of equal ones those
    with the longer span, then the earlier.
    """
    if not trace.layers:
        return []
    stay, span = stayed(trace), trace.finite_span
    layer = np.lexsort((span.T, stay.T), axis=1)[:, -1]  # (T,): the last of each row is the greatest
    now = np.arange(trace.steps)
    order = np.lexsort((now, -span[layer, now], -stay[layer, now]))[:most]
    return [
        Kept(t, float(trace.span[layer[t], t]), int(layer[t]), int(stay[layer[t], t])) for t in order.tolist()
    ]


def kinds(trace: EpisodeTrace) -> list[Kind]:
    """The observations by what they show and whether they are cues; those with the longest median span first."""
    if not trace.layers:
        return []
    span, kept = trace.finite_span.max(0), np.asarray(trace.kept.any(0))
    _, number = np.unique(_looks(trace), return_inverse=True)
    _, number = np.unique(number * 2 + trace.cue, return_inverse=True)
    order = np.argsort(number, kind="stable")
    groups: list[Ints] = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    found = [
        Kind(
            steps.astype(np.int32),
            float(np.median(span[steps])),
            float(span[steps].max()),
            int(kept[steps].sum()),
        )
        for steps in groups
    ]
    return sorted(found, key=lambda kind: (-kind.median_span, int(kind.steps[0])))


def _looks(trace: EpisodeTrace) -> npt.NDArray[Any]:
    """(T,) equal where observations look alike: by words, text, picture, or components, the first that tells kinds.

    What hardly ever looks the same twice tells none.
    """
    T = trace.steps
    flat = np.ascontiguousarray(trace.observation.reshape(T, -1))
    rows = (
        flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
        if flat.size
        else flat[:, 0:0]
    )
    for looks in (trace.words, trace.text, trace.frame, rows):
        if looks.size and len(np.unique(looks)) <= max(1, T // 2):
            return np.asarray(looks)
    return np.zeros(T, np.int32)


def verdict(trace: EpisodeTrace) -> str:
    """One sentence: how many observations are kept at the end, of how many, which for longest, and what for."""
    T = trace.steps
    if not trace.layers:
        return "This memory keeps no single observations: it has one state, which every step rewrites."
    longest, kept = longest_kept(trace, 1)[0], int(trace.kept.any(0).sum())
    if not longest.stayed:
        return f"The agent keeps {kept:,} of {T:,} observations, none for a step or more."
    if not trace.about.get("ramp"):
        return (
            f"This memory gives all observations one span; it keeps the last {kept:,} of {T:,}{_use(trace)}."
        )
    steps = f"{longest.stayed:,} step{'s' * (longest.stayed != 1)}"
    if kept == T:
        return (
            f"The agent keeps all {T:,} observations and deletes none, so the first for {steps}{_use(trace)}."
        )
    return (
        f"The agent keeps {kept:,} of {T:,} observations. Longest: {_named(trace, longest.step)}, for {steps}"
        f"{_use(trace, longest.step)}."
    )


def _use(trace: EpisodeTrace, longest: int | None = None) -> str:
    """What the decisive memory was for; ``longest`` is the memory just named."""
    use = decisive(trace)
    if use is None:
        return ""
    if use.what_if and use.amount < SLIGHT:
        return "; no choice of an action depends on any one old memory"
    it = "it" if use.memory == longest else f"the memory of step {use.memory:,}{_in_words(trace, use.memory)}"
    verb = "decides" if use.what_if else "is read most at"
    return f"; {it} {verb} step {use.step:,}, {_choice(trace, use)}"


def _in_words(trace: EpisodeTrace, t: int) -> str:
    return f" ({words_at(trace, t)})" if trace.text.size or trace.words.size or trace.cue[t] else ""


def _named(trace: EpisodeTrace, t: int) -> str:
    words = words_at(trace, t) if trace.text.size or trace.words.size else ""
    return f"{words or ('the cue' if trace.cue[t] else 'the observation')} of step {t:,}"


def _choice(trace: EpisodeTrace, use: Decisive) -> str:
    t, action = use.step, action_at(trace, use.step)
    if not use.what_if:
        return f"with {use.amount:.0%} of the attention, where the agent takes {action}"
    place = int(np.flatnonzero(trace.removed[t] == use.memory)[0])
    if (
        not (trace.without.size and trace.probability.size)
        or trace.action.ndim != 1
        or trace.action.dtype.kind not in "iu"
    ):
        return f"where the agent takes {action}; without it the actions shift by {use.amount:.2g} nats"
    with_it, without = (float(p[trace.action[t]]) for p in (trace.probability[t], trace.without[t, place]))
    return f"where the agent takes {action} with probability {with_it:.2f}, without it {without:.2f}"


def action_at(trace: EpisodeTrace, t: int) -> str:
    """The action of a step: its name if the environment has one, otherwise its number or numbers."""
    action, names = trace.action[t], trace.about.get("actions")
    if (
        action.ndim == 0
        and action.dtype.kind in "iu"
        and isinstance(names, list)
        and 0 <= action < len(names)
    ):
        return f'"{names[int(action)]}"'
    numbers = ", ".join(f"{value:.3g}" for value in np.atleast_1d(action).ravel()[:4].tolist())
    return f"action {numbers}{', ...' if action.size > 4 else ''}"


def first_difference(a: EpisodeTrace, b: EpisodeTrace) -> int | None:
    """The first step at which two agents act differently, or at which only one still plays; None if there is none."""
    T = min(a.steps, b.steps)
    if a.action.shape[1:] != b.action.shape[1:]:
        return 0
    differs = np.flatnonzero((a.action[:T] != b.action[:T]).reshape(T, -1).any(1))
    return int(differs[0]) if len(differs) else (T if a.steps != b.steps else None)


def same_episode(a: EpisodeTrace, b: EpisodeTrace) -> bool:
    """Whether both played the same episode: environment, settings and seed are equal, and the seed is known."""
    return a.about.get("seed") is not None and all(
        a.about.get(name) == b.about.get(name) for name in ("env", "settings", "seed")
    )
