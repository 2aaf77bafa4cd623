"""A recipe: an experiment as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from expirespan.experiments.settings import Config
from expirespan.parameters import Steps
from expirespan.ranges import check_fields

ZOO = "`ppo_lstm` of rl-baselines3-zoo, whose returns and budget are to be met"
LIGHT = "Sukhbaatar et al. 2021, arXiv 2105.06548, instructions in LIGHT; ours in a grammar of our own"
PAPER = "the corridor task of Sukhbaatar et al. 2021, arXiv 2105.06548"


@dataclass(frozen=True)
class Recipe:
    """``summary`` and ``expected`` score are for people; ``source`` is where task and settings come from.

    ``usual_steps``: environment steps to the target, about the median of docs/results.md; None where not measured.
    """

    summary: str
    source: str
    expected: str
    config: Config
    usual_steps: Steps | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def recipe(
    name: str,
    summary: str,
    expected: str,
    config: Config,
    source: str = PAPER,
    usual_steps: int | None = None,
) -> tuple[str, Recipe]:
    """A recipe with its name; its runs are put under that name."""
    return name, Recipe(summary, source, expected, replace(config, recipe=name), usual_steps)
