"""The card of a trained agent: what it plays, what made it, how well it does, under which licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from expirespan.parameters import Probability, Score, Seed, SomeCount, SomeSteps, Steps
from expirespan.ranges import check_fields


@dataclass(frozen=True)
class CardScore:
    """What the agent reached in fresh episodes of ``env`` with the constructor arguments ``parameters``.

    Attributes:
        env: Gymnasium id.
        parameters: arguments of the environment's constructor.
        episodes: number of episodes.
        seed: environment i was seeded ``seed`` + i.
        success: share of episodes solved; None where the environment does not report it.
        success_interval: its 95 % interval (Wilson).
        mean_return: mean undiscounted return.
        return_interval: its 95 % interval (Student).
        alive_at_end: memories alive per layer at the end of the longest episodes; None for memories without spans.

    Raises:
        ValueError: a number is out of its range.
    """

    env: str
    parameters: Mapping[str, Any]
    episodes: Steps
    seed: Seed
    success: Probability | None
    success_interval: tuple[Probability, Probability] | None
    mean_return: Score
    return_interval: tuple[Score, Score]
    alive_at_end: tuple[SomeCount, ...] | None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Card:
    """What is known of a trained agent.

    Attributes:
        name: the name that `load_pretrained` takes.
        summary: what it has learned, in one sentence.
        licence: SPDX identifier of the licence of its weights.
        command: the command that trained it.
        commit: the commit of this package that trained it.
        seed: of the training.
        steps: environment steps of training.
        versions: of the packages that trained it, by name.
        score: what it reaches, by `expirespan evaluate pretrained:NAME`.
        settings: those of the run that trained it, as ``config.yaml`` of a run's folder has them.

    Raises:
        ValueError: a number is out of its range.
    """

    name: str
    summary: str
    licence: str
    command: str
    commit: str
    seed: Seed
    steps: SomeSteps
    versions: Mapping[str, str]
    score: CardScore
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_fields(self)

    def to_json(self) -> str:
        """The text of its file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`.

        Raises:
            ValueError: it is no JSON, or an entry is missing, not known, or out of its range.
        """
        data = _entries(cls, json.loads(text), "the card")
        score = _entries(CardScore, data["score"], "its score")
        for name in ("success_interval", "return_interval", "alive_at_end"):
            score[name] = None if score[name] is None else tuple(score[name])
        return cls(**{**data, "score": CardScore(**score)})


def _entries(kind: type[Any], data: Any, what: str) -> dict[str, Any]:
    expected = {item.name for item in fields(kind)}
    given = set(data) if isinstance(data, dict) else set()
    if given != expected:
        wrong = sorted(expected - given) or sorted(given - expected)
        state = "lacks" if expected - given else "has, unknown here,"
        raise ValueError(f"{what} {state} {', '.join(wrong)}")
    return dict(data)
