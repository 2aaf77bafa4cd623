"""From the grammar's sentences to tokens: the vocabulary, and all lines of chatter that an episode may draw from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from math import isqrt, prod
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from expirespan.envs.instruction import grammar

__all__ = ["CAST", "Lines", "grammar_lines", "light_lines"]

CAST: Final = 8
"""Characters, and as many objects, in an episode."""
PER_TEMPLATE: Final = 240
"""Sentences made of one template, at most; so no template, however many words fit it, crowds out the others."""

Tokens = npt.NDArray[np.int64]


class Lines:
    """A vocabulary, and lines of chatter as tokens.

    Attributes:
        words: the vocabulary; token 0 is no word, it fills up short lines.
        chatter: (P, token_length), P prime. A token from ``len(words)`` on is one of the episode's own words:
            8 characters, then 8 objects and the place of two words each.

    Raises:
        ValueError: a line is longer than ``token_length``.
    """

    def __init__(self, words: Sequence[str], chatter: Sequence[Sequence[int]], token_length: int) -> None:
        longest = max(map(len, [*chatter, *_longest_lines()]))
        if token_length < longest:
            raise ValueError(
                f"token_length={token_length!r}: the longest line has {longest} words; expected at least as many"
            )
        self.words = ("", *words)
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.token_length = token_length
        mixed = sorted(
            chatter, key=lambda line: crc32(str(list(line)).encode())
        )  # neighbours have nothing in common
        self.chatter = np.zeros((_prime_up_to(len(chatter)), token_length), np.int64)
        for row, line in zip(self.chatter, mixed, strict=False):
            row[: len(line)] = line

    @property
    def fingerprint(self) -> int:
        """A number that is another for other words or other chatter."""
        return crc32(" ".join(self.words).encode(), crc32(self.chatter.tobytes()))

    def encode(self, text: str) -> Tokens:
        """Tokens (token_length,) of a line.

        Raises:
            ValueError: an unknown word, or too many words.
        """
        words = text.split()
        numbers = list(map(self.ids.get, words))
        if None in numbers:
            unknown = ", ".join(word for word in words if word not in self.ids)
            raise ValueError(f"line {text!r} has words that are not in the vocabulary: {unknown}")
        if len(words) > self.token_length:
            raise ValueError(f"line {text!r} has {len(words)} words: expected at most {self.token_length}")
        return np.array(numbers + [0] * (self.token_length - len(words)), np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """The line that tokens stand for."""
        return " ".join(map(self.words.__getitem__, filter(None, tokens)))


@cache
def grammar_lines(token_length: int) -> Lines:
    """Lines from our grammar."""
    words = _grammar_words()
    ids = {word: i for i, word in enumerate(("", *words))}
    return Lines(words, [line for t in grammar.CHATTER for line in _sentences(t, ids)], token_length)


def light_lines(texts: Sequence[str], token_length: int) -> Lines:
    """Lines of chatter from texts, one a line, cut after ``token_length`` words; instructions are from our grammar.

    Words are lower-case; the vocabulary begins with the grammar's. Lines that contain "you to" or "your turn" are
    left out, as they could be taken for an instruction or for the turn, and so are repeated ones.
    """
    found = [re.findall(r"[a-z0-9']+|[.,!?;:]", text.lower()) for text in texts]
    cut = [words[i : i + token_length] for words in found for i in range(0, len(words), token_length)]
    misleading = {("you", "to"), ("your", "turn")}
    lines = [line for line in dict.fromkeys(map(tuple, cut)) if misleading.isdisjoint(pairwise(line))]
    known = _grammar_words()
    words = (*known, *sorted({word for line in lines for word in line} - set(known)))
    ids = {word: i for i, word in enumerate(("", *words))}
    return Lines(words, [[ids[word] for word in line] for line in lines], token_length)


def _sentences(template: str, ids: dict[str, int]) -> Iterator[list[int]]:
    """Up to `PER_TEMPLATE` lines of a template, spread evenly over all of them."""
    parts = re.findall(r"\[(\w+)\]|(\w+)", template)
    choices = [_choices(kind, ids) if kind else [[ids[word]]] for kind, word in parts]
    total = prod(map(len, choices))
    count = min(total, PER_TEMPLATE)
    for k in range(count):
        rest, chosen = k * total // count, []
        for options in choices:
            rest, i = divmod(rest, len(options))
            chosen.append(options[i])
        slots = [(kind, tuple(option)) for (kind, _), option in zip(parts, chosen, strict=True) if kind]
        if len(set(slots)) == len(slots):
            yield [token for option in chosen for token in option]


def _choices(kind: str, ids: dict[str, int]) -> list[list[int]]:
    """What may stand for a name in brackets, each as tokens."""
    own = len(ids)
    if kind == "person":
        return [[own + i] for i in range(CAST)]
    if kind == "object":
        return [[own + CAST + 2 * i, own + CAST + 2 * i + 1] for i in range(CAST)]
    if kind == "place":
        return [[own + 3 * CAST, own + 3 * CAST + 1]]
    return [[ids[word]] for word in grammar.FILLERS[kind]]


@cache
def _grammar_words() -> tuple[str, ...]:
    """Every word that a line from our grammar can have, sorted."""
    templates = [*grammar.CHATTER, *grammar.TELLINGS[0], *grammar.TELLINGS[1]]
    templates += [grammar.ORDERS, *grammar.REPLACING, *grammar.CANCELLING, grammar.OPENING, grammar.TURN]
    texts = [re.sub(r"\[\w+\]|\{\w+\}", " ", template) for template in templates]
    texts += [*grammar.CHARACTERS, *grammar.OBJECTS[0], *grammar.OBJECTS[1], *grammar.PLACES]
    texts += [
        *grammar.VERBS,
        *grammar.MARKERS,
        *(word for words in grammar.FILLERS.values() for word in words),
    ]
    return tuple(sorted({word for text in texts for word in text.split()}))


def _longest_lines() -> list[list[str]]:
    """The turn and every telling, with as many words as they can have."""
    order = grammar.ORDERS.format(verb="verb", object="material thing", person="person")
    tellings = [
        telling.format(teller="teller", hearer="the hearer", order=order)
        for telling in (*grammar.TELLINGS[0], *grammar.TELLINGS[1], *grammar.REPLACING, *grammar.CANCELLING)
    ]
    turn = grammar.TURN + len(grammar.MARKERS) * " marker verb material thing person"
    return [line.split() for line in (*tellings, turn)]


def _prime_up_to(number: int) -> int:
    """The greatest prime that is at most ``number``; 0 below 2."""
    return next((n for n in range(number, 1, -1) if all(n % d for d in range(2, isqrt(n) + 1))), 0)
