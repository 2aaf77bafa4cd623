"""Episodes that were played, by one worker or by several of which each had some of the environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from expirespan.experiments.episodes.cue_retention import Decision, Retention, summarise_retention

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Episodes:
    """E episodes. ``success`` and ``length`` are nan where the environment does not report them.

    ``ended`` (E,): False for those cut off at the limit of steps; they are no success where others report one.

    ``returns``, ``steps``, ``success``, ``length`` (of the corridor), each (E,); ``alive``, ``alive_at_end``
    (layers, E): memories alive, the mean over the episode and at its last step. ``seconds`` in all.
    ``step_seconds``, ``step_envs`` (S,): what each step of all environments took, and how many played.
    ``first_end``: the step at which the first episode ended. ``retention``: None without cues or spans.
    """

    returns: Floats
    steps: Floats
    success: Floats
    length: Floats
    ended: Flags
    alive: Floats
    alive_at_end: Floats
    seconds: float
    step_seconds: Floats
    step_envs: Floats
    first_end: int
    retention: Retention | None = None


class Episode(NamedTuple):
    """An episode of the environment of a ``number``, which ended at a step (``at``) of all; the rest as in `Episodes`.

    ``alive``, ``alive_at_end`` (layers,). ``decision``: None for players without spans.
    """

    at: int
    number: int
    returns: float
    steps: float
    success: float
    length: float
    ended: bool
    alive: Floats
    alive_at_end: Floats
    decision: Decision | None


class Played(NamedTuple):
    """What one worker has played. ``times``: seconds and playing environments of each step.

    ``lives``, ``is_cue``: of all observations, see `summarise_retention`.
    """

    episodes: list[Episode]
    times: list[tuple[float, int]]
    first_end: int
    seconds: float
    lives: Floats
    is_cue: Flags


def joined(parts: Sequence[Played]) -> Episodes:
    """All episodes in the order in which one worker would have seen them end; times of steps are the first worker's."""
    episodes = sorted((e for part in parts for e in part.episodes), key=lambda e: (e.at, e.number))
    columns = [[getattr(e, name) for e in episodes] for name in ("returns", "steps", "success", "length")]
    returns, steps, success, length = np.asarray(columns, dtype=float)
    ended = np.array([e.ended for e in episodes])
    if not np.isnan(success).all():
        success[~ended] = 0
    alive, at_end = (np.stack([getattr(e, n) for e in episodes], 1) for n in ("alive", "alive_at_end"))
    step_seconds, step_envs = np.asarray(parts[0].times, dtype=float).T
    is_cue = np.concatenate([part.is_cue for part in parts])
    retention = None
    if is_cue.any():
        lives = np.concatenate([part.lives for part in parts])
        decisions = [e.decision for e in episodes if e.decision is not None]
        retention = summarise_retention(decisions, lives, is_cue, steps, alive, success)
    seconds = max(part.seconds for part in parts)
    return Episodes(
        *(returns, steps, success, length, ended, alive, at_end, seconds, step_seconds, step_envs),
        *(parts[0].first_end, retention),
    )
