"""The rules of the find-instruction task, once: the lines of an episode, and what is right when the turn comes.

Both variants read this file, `FindInstruction` (one environment) and `FindInstructionVector` (many, in numpy).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.checks import (
    check_choice,
    check_items,
    check_layout,
    plain,
)
from expirespan.envs.base.lengths import length_from
from expirespan.envs.instruction import grammar
from expirespan.envs.instruction.light_files import read_light_lines
from expirespan.envs.instruction.lines import CAST, Lines, grammar_lines
from expirespan.parameters import Chatter, Cost, Lengths, LineCount, LineLength, Revisions, Split
from expirespan.ranges import check_fields

__all__ = ["ACTIONS", "Episode", "InstructionRules"]

CHOICES: Final = len(grammar.MARKERS)
READ: Final = 0
ACTIONS: Final = ("read on", *(f"carry out the {marker} action offered" for marker in grammar.MARKERS))
SPLITS: Final = get_args(Split)
TOKEN_LENGTH: Final = 24
"""Words of a line, unless given."""
BEFORE: Final = 10
"""Lines up to the instruction, at most."""
DRAWS: Final = 52
"""Uniform numbers that an episode is made of."""

Tokens = npt.NDArray[np.int64]


class Episode(NamedTuple):
    """The lines of an episode, the last of which is the turn.

    Attributes:
        tokens: (lines, token_length).
        cues: lines that tell what to do: the instruction, and the one that revises it.
        answer: the action that is right at the turn.
        length: lines between the instruction and the turn.
    """

    tokens: Tokens
    cues: tuple[int, ...]
    answer: int
    length: int


@dataclass(frozen=True)
class InstructionRules:
    """The parameters of the find-instruction task, checked; see the card of `FindInstruction` for their meaning.

    Raises:
        ValueError: a parameter is not allowed, or a LIGHT file is no such file.
        FileNotFoundError: there is no LIGHT file at ``light_path``.
    """

    min_length: LineCount = 10
    max_length: LineCount = 1000
    length_distribution: Lengths = "uniform"
    split: Split = "train"
    revisions: Revisions = "never"
    early_penalty: Cost = 0.01
    token_length: LineLength = TOKEN_LENGTH
    lines: Chatter = "grammar"
    light_path: str | None = None

    def __post_init__(self) -> None:
        plain(self)
        check_fields(self)
        if self.max_length < self.min_length:
            raise ValueError(
                f"max_length={self.max_length} is below min_length={self.min_length}: "
                "raise max_length or lower min_length"
            )
        if (self.lines == "light") != (self.light_path is not None):
            raise ValueError(
                f"lines={self.lines!r} with light_path={self.light_path!r}: expected a path with lines='light', "
                "to a LIGHT file or a folder of them, and none without"
            )
        if len(self.source.chatter) < self.most_lines:
            raise ValueError(
                f"max_length={self.max_length} needs {self.most_lines} different lines: there are only "
                f"{len(self.source.chatter)}; lower max_length"
                + (" or give more files" if self.light_path else "")
            )

    @cached_property
    def source(self) -> Lines:
        """The vocabulary and the chatter."""
        if self.light_path is None:
            return grammar_lines(self.token_length)
        return read_light_lines(self.light_path, self.token_length)

    @property
    def most_lines(self) -> int:
        """Lines of an episode, at most: the instruction is at most line `BEFORE`, and the turn is the last."""
        return BEFORE + self.max_length + 2

    def observation_space(self) -> spaces.Box:
        """The space of one observation."""
        return spaces.Box(0, len(self.source.words) - 1, (self.token_length,), np.int64)

    def from_draws(self, draws: npt.NDArray[np.float64]) -> Episode:
        """The episode that `DRAWS` uniform numbers make."""
        take = iter(draws.tolist())
        people = _distinct(take, CAST, grammar.CHARACTERS)
        trained, held_out = grammar.OBJECTS
        objects = _distinct(take, 2, held_out) if self.split == "test" else []
        objects += _distinct(take, CAST - len(objects), trained)
        place = _pick(take, grammar.PLACES)
        verbs = _distinct(take, 2, grammar.VERBS)
        before = 1 + int(next(take) * BEFORE)
        length = length_from(next(take), self.min_length, self.max_length, self.length_distribution)
        turn = before + length + 1

        # Any two of the four actions share one part, so that two parts of the right one must be known.
        orders = [
            grammar.ORDERS.format(verb=verbs[i], object=objects[j], person=people[i ^ j])
            for i in (0, 1)
            for j in (0, 1)
        ]
        told = _distinct(take, CHOICES, range(CHOICES))  # the first one to this agent
        shown = _distinct(take, CHOICES, range(CHOICES))
        revision = self._revision(next(take))
        right = told[1] if revision == "replace" else told[0]
        answer = READ if revision == "cancel" else 1 + shown.index(right)
        part = SPLITS.index(self.split)
        templates = grammar.TELLINGS[part]

        def telling(template: str, hearer: str, order: str) -> str:
            return template.format(teller=_pick(take, people[5:]), hearer=hearer, order=order)

        lines = {
            0: grammar.OPENING.format(*people[:3], place=place),
            before: telling(_pick(take, templates), "you", orders[told[0]]),
            turn: " ".join([grammar.TURN, *_offers(orders, shown)]),
        }
        later = [
            telling(_pick(take, templates), f"the {person}", orders[order])
            for person, order in zip(
                people[2:5], told[2:] if revision == "replace" else told[1:], strict=False
            )
        ]
        if next(take) < 0.5 and before > 1:  # one of the others is told before this agent is
            lines[1 + int(next(take) * (before - 1))] = later.pop()
        if revision != "never":
            revising = grammar.REPLACING if revision == "replace" else grammar.CANCELLING
            later.insert(0, telling(revising[part], "you", orders[right]))
        places = []
        for quarter in _distinct(
            take, len(later), range(CHOICES)
        ):  # of the lines between instruction and turn
            first, end = (before + 1 + (quarter + i) * length // CHOICES for i in (0, 1))
            places.append(first + int(next(take) * (end - first)))
        lines |= dict(zip(places, later, strict=True))

        tokens = self._chatter(next(take), next(take), turn + 1, [*people, *objects, place])
        for at, text in lines.items():
            tokens[at] = self.source.encode(text)
        cues = (before,) if revision == "never" else (before, places[0])
        return Episode(tokens, cues, answer, length)

    def _chatter(self, start: float, stride: float, count: int, own: Sequence[str]) -> Tokens:
        """``count`` different lines, (count, token_length); the number of all lines is prime, so no two are equal."""
        prime = len(self.source.chatter)
        first, step = int(start * prime), 1 + int(stride * (prime - 1))
        chosen = self.source.chatter[(first + step * np.arange(count)) % prime]
        own_words = [self.source.ids[word] for word in " ".join(own).split()]
        meaning = np.concatenate([np.arange(len(self.source.words)), own_words])
        return np.asarray(meaning[chosen])

    def parse(self, layout: Any) -> Episode:
        """Read ``{"lines": [...], "cues": [3], "answer": 2}``: texts, the last of which is the turn.

        Raises:
            ValueError: a key is missing or unknown, or a value is not allowed.
        """
        if isinstance(layout, Episode):
            return layout
        example = "{'lines': ['a bear sleeps', 'your turn'], 'cues': [0], 'answer': 2}"
        given = check_layout(layout, ("lines", "cues", "answer"), example)
        lines = check_items("layout['lines']", given["lines"])
        for i, line in enumerate(lines):
            if not isinstance(line, str) or not line.split():
                raise ValueError(f"layout['lines'][{i}]={line!r}: expected a line of text")
        if not 2 <= len(lines) <= self.most_lines:
            raise ValueError(
                f"layout['lines'] has {len(lines)} lines: expected 2 to {self.most_lines}, by max_length"
            )
        cues = check_items("layout['cues']", given["cues"], allowed=range(len(lines) - 1))
        if not 1 <= len(cues) <= 2:
            raise ValueError(f"layout['cues']={cues!r}: expected one or two line numbers")
        check_choice("layout['answer']", given["answer"], range(len(ACTIONS)))
        tokens = np.stack([self.source.encode(line) for line in lines])
        return Episode(tokens, tuple(cues), given["answer"], len(lines) - 2 - cues[0])

    def _revision(self, uniform: float) -> str:
        if self.revisions == "any":
            return ("never", "replace", "cancel")[int(3 * uniform)]
        return self.revisions if uniform < 0.5 else "never"


def _offers(orders: Sequence[str], shown: Sequence[int]) -> list[str]:
    """The orders in the order shown, each after its marker and without "the" and "to"."""
    short = [" ".join(word for word in orders[i].split() if word not in ("the", "to")) for i in shown]
    return [f"{marker} {order}" for marker, order in zip(grammar.MARKERS, short, strict=True)]


def _pick(take: Iterator[float], items: Sequence[Any]) -> Any:
    return items[int(next(take) * len(items))]


def _distinct(take: Iterator[float], count: int, items: Sequence[Any]) -> list[Any]:
    """``count`` different items, each order of each choice equally likely."""
    left = list(items)
    return [left.pop(int(next(take) * len(left))) for _ in range(count)]
