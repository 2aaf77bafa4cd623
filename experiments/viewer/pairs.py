"""Pairs of episodes of two agents: whether both played the same one, and where the agents first act differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.verdict import action_at, first_difference, same_episode


class Pair(NamedTuple):
    """An episode of each agent, a sentence on how they differ, and the first step at which the agents act differently;
    None if there is none, or if the episodes are not the same.
    """

    a: EpisodeTrace
    b: EpisodeTrace
    sentence: str
    first_difference: int | None


def pairs_of(left: Sequence[EpisodeTrace], right: Sequence[EpisodeTrace]) -> list[Pair]:
    """The episodes that both have, each once; if there is none, the first of each."""
    found: list[Pair] = []
    for a in left:
        b = next((b for b in right if same_episode(a, b)), None)
        if b is not None and not any(same_episode(a, other.a) for other in found):
            found.append(pair(a, b))
    return found or [pair(left[0], right[0])]


def pair(a: EpisodeTrace, b: EpisodeTrace) -> Pair:
    """Two episodes, compared."""
    if not same_episode(a, b):
        return Pair(
            a,
            b,
            f"These are two episodes that differ ({_difference(a, b)}); their steps do not correspond.",
            None,
        )
    first = first_difference(a, b)
    if first is None:
        return Pair(a, b, "Both agents play the same episode, and act alike at every step.", None)
    if first >= min(a.steps, b.steps):
        text = f"act alike until step {first - 1:,}, where the episode of {'A' if a.steps < b.steps else 'B'} ends"
    else:
        text = (
            f"first act differently at step {first:,}: A takes {action_at(a, first)}, B {action_at(b, first)}"
        )
    return Pair(a, b, f"Both agents play the same episode; they {text}.", first)


def _difference(a: EpisodeTrace, b: EpisodeTrace) -> str:
    for name in ("env", "settings", "seed"):
        if a.about.get(name) != b.about.get(name):
            if name == "settings":
                return "other settings of the environment"
            what = {"env": "environment", "seed": "seed"}[name]
            return f"{what} {a.about.get(name)} and {b.about.get(name)}"
    return "their seed is unknown"
