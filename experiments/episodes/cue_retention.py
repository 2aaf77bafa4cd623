"""Retention as numbers: share of memories that are cues, share of cues that are held, their lives, memory saved.

Environments mark with ``info["cue"]`` the observations that show what must be remembered. A *cue* is a stretch of
consecutive such observations; it is held while any of them can be read in any layer. The *decision* is the last step
of an episode; what it reads of earlier steps is what the memory was for. (A memory that leaves summaries holds, of
each, the oldest state that the summary stands for.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Retention:
    """Retention of the cues of some episodes; None where there is nothing to report.

    At the decision, means over episodes: ``precision``, share of the memories (all layers) that are of cue
    observations; ``recall``, share of the cues that are held; ``newest``, share of episodes whose newest cue is held,
    the one that counts where cues replace each other.

    ``cue_life``, ``other_life``: median steps for which observations with and without a cue can be read, in the layer
    that keeps each for longest, the ramp included; None also where there is no limit.

    ``window``: states that a `FixedWindow` must read to hold, at every decision of the successful episodes, the cues
    held here; ``memory_saved``: 1 - mean memories alive per layer / those of that window, over the same steps. It is
    negative if the window would keep less. Where success is not reported, all episodes count as successful.
    """

    precision: float | None
    recall: float | None
    newest: float | None
    cue_life: float | None
    other_life: float | None
    window: int | None
    memory_saved: float | None


class Decision(NamedTuple):
    """Of one episode, as in `Retention`, nan where there is nothing to report.

    ``reach``: age of the oldest cue held, or 0.
    """

    precision: float
    recall: float
    newest: float
    reach: int


def decision(cue: Bools, remembered: Sequence[Ints]) -> Decision:
    """What the last of T steps reads: ``cue`` (T,) marks observations, ``remembered`` are timesteps per layer.

    The last step itself is no memory yet: its cue does not count, nor does its entry in ``remembered``.
    """
    last = len(cue) - 1
    steps = np.concatenate([np.zeros(0, int), *remembered])
    steps = steps[(steps >= 0) & (steps < last)]
    cues = stretches(cue[:last])
    ages = [last - max(held) for a, b in cues if (held := steps[(a <= steps) & (steps <= b)].tolist())]
    nan = float("nan")
    return Decision(
        precision=float(cue[steps].mean()) if len(steps) else nan,
        recall=len(ages) / len(cues) if cues else nan,
        newest=float(((cues[-1][0] <= steps) & (steps <= cues[-1][1])).any()) if cues else nan,
        reach=max(ages, default=0),
    )


def window_alive(steps: Floats, window: int) -> Floats:
    """Mean over each episode of ``steps`` steps of the states that a `FixedWindow` of that size reads."""
    full = np.minimum(steps, window)
    mean: Floats = (full * (full + 1) / 2 + (steps - full) * window) / steps
    return mean


def summarise_retention(
    decisions: Sequence[Decision], lives: Floats, is_cue: Bools, steps: Floats, alive: Floats, success: Floats
) -> Retention:
    """Numbers of E episodes.

    ``lives``, ``is_cue`` (F,) of all their observations; ``steps``, ``success`` (E,), the latter nan where
    not reported; ``alive`` (layers, E): mean memories alive.
    """
    precision, recall, newest, _ = np.array(decisions, float).reshape(-1, 4).T
    good = (success > 0.5) | np.isnan(success)
    reach = max((one.reach for one, counts in zip(decisions, good, strict=True) if counts), default=0)
    window, saved = None, None
    if reach:
        window = 1 + reach
        ours = float(alive.mean(0)[good] @ steps[good])
        saved = 1 - ours / float(window_alive(steps, window)[good] @ steps[good])
    return Retention(
        precision=_mean(precision),
        recall=_mean(recall),
        newest=_mean(newest),
        cue_life=_median(lives[is_cue]),
        other_life=_median(lives[~is_cue]),
        window=window,
        memory_saved=saved,
    )


class CueMeter:
    """Follows N environments through their episodes. Call `step` at every step, and `end` when an episode is over."""

    def __init__(self, num_envs: int) -> None:
        self._began = np.zeros(num_envs, int)
        self._cues: list[Bools] = []
        self._lives: list[Floats] = []
        self._is_cue: list[Bools] = []

    def step(self, cue: Bools, lives: Floats, starts: Bools, playing: Bools) -> None:
        """``cue`` (N,): of the observations acted on; ``lives`` (N,): of the memories written of them."""
        self._began[starts] = len(self._cues)
        self._cues.append(cue)
        self._lives.append(lives[playing])
        self._is_cue.append(cue[playing])

    def end(self, i: int, remembered: Sequence[Ints]) -> Decision:
        """Environment i has ended its episode; ``remembered``: per layer, timesteps that its last step could read."""
        return decision(np.array([flags[i] for flags in self._cues[self._began[i] :]]), remembered)

    def observations(self) -> tuple[Floats, Bools]:
        """Of all observations so far, the lives of the memories written of them, and whether they are cues."""
        return np.concatenate([np.zeros(0), *self._lives]), np.concatenate([np.zeros(0, bool), *self._is_cue])


def _mean(values: Floats) -> float | None:
    told = values[~np.isnan(values)]
    return float(told.mean()) if len(told) else None


def _median(values: Floats) -> float | None:
    middle = float(np.median(values)) if len(values) else math.inf
    return middle if math.isfinite(middle) else None


def stretches(flags: Bools) -> list[tuple[int, int]]:
    """First and last index of every stretch of true."""
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    change = np.diff(padded)
    return list(
        zip(np.flatnonzero(change == 1).tolist(), (np.flatnonzero(change == -1) - 1).tolist(), strict=True)
    )
