"""Every stream goes on from its state, and refuses settings that cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.sequence.charlm import CharLM
from expirespan.experiments.sequence.collision import Collision
from expirespan.experiments.sequence.copying import Copy
from expirespan.experiments.sequence.corpora import load_corpus
from expirespan.experiments.sequence.stream import Stream
from tests.experiments.sequence.streams import joined, text


@pytest.mark.parametrize("task", ["copy", "collision", "charlm"])
def test_streams_go_on_from_their_state(task: str, tmp_path: Path) -> None:
    """Also through a file of JSON; another seed gives other data, another cut into blocks does not."""

    def make(seed: int) -> Stream:
        if task == "charlm":
            return CharLM(2, load_corpus(text(tmp_path), "train"))
        return Copy(2, 9, shortest=2, seed=seed) if task == "copy" else Collision(2, episode=30, seed=seed)

    stream = make(0)
    first = stream.block(23)
    saved = json.loads(json.dumps(stream.state_dict()))
    expected = stream.block(40)
    other = make(1)
    assert task == "charlm" or not np.array_equal(other.block(23).tokens, first.tokens)
    other.load_state_dict(saved)
    for one, two in zip(other.block(40), expected, strict=True):
        assert np.array_equal(one, two)
    for one, *parts in zip(joined(make(0), 1, 30, 32), first, expected, strict=True):
        assert np.array_equal(one, np.concatenate(parts, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Copy(0, 5), "rows must be an integer >= 1, got 0"),
        (lambda: Copy(1, -1), "delay must be an integer of steps >= 0, got -1"),
        (lambda: Copy(1, 5, symbols=1), "symbols must be an integer >= 2, got 1"),
        (lambda: Copy(1, 5, shortest=6), "shortest must be None or from 1 to delay=5, got 6"),
        (lambda: Collision(1, ask=1.5), "ask must be a number within"),
        (lambda: Collision(1, episode=0), "episode must be an integer >= 1"),
    ],
)
def test_settings_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
