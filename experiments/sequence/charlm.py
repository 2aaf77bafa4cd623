"""CharLM: the next byte of a text. The score is bits per byte, nats / ln 2.

The text is cut into ``rows`` pieces of equal length, each read from its beginning to its end and then again; what is
left over at the end of the text is not read. An episode begins with each piece and each document.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from expirespan.experiments.sequence.corpora import Corpus
from expirespan.experiments.sequence.stream import Block, Ints, Stream
from expirespan.experiments.settings.errors import UserError


class CharLM(Stream):
    """Rows of a corpus.

    Raises:
        UserError: a row would be shorter than ``block``.
    """

    vocabulary = 256
    classes = 256
    chance = None

    def __init__(self, rows: int, corpus: Corpus, block: int = 1) -> None:
        self.rows, self.data = rows, corpus.data
        self.length = (len(corpus.data) - 1) // rows
        if self.length < block:
            raise UserError(
                f"the text has {len(corpus.data):,} bytes, too few for rows={rows} of a block of {block} each: use "
                "a longer text, fewer rows or shorter blocks"
            )
        self.documents = corpus.documents
        self.at: Ints = np.zeros(rows, np.int64)

    def block(self, steps: int) -> Block:
        """The next steps of every row."""
        at = (self.at[:, None] + np.arange(steps)) % self.length
        index = np.arange(self.rows)[:, None] * self.length + at
        self.at = (self.at + steps) % self.length
        tokens, targets = self.data[index].astype(np.int64), self.data[index + 1].astype(np.int64)
        start = at == 0
        if len(self.documents) > 1:
            start |= np.isin(index, self.documents)
        return Block(tokens[..., None], targets, start)

    def state_dict(self) -> dict[str, Any]:
        """Where each row is."""
        return {"at": self.at.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.at = np.asarray(state["at"], np.int64)
