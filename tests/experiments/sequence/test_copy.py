"""What the copy task asks, checked against what it shows."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expirespan.experiments.sequence.copying import Copy
from expirespan.experiments.sequence.stream import IGNORE
from tests.experiments.sequence.streams import QUICK, joined


@given(
    delay=st.integers(0, 12),
    payload=st.integers(1, 4),
    symbols=st.integers(2, 5),
    random=st.booleans(),
    steps=st.lists(st.integers(1, 17), min_size=1, max_size=5),
)
@QUICK
def test_copy_asks_for_what_it_showed(
    delay: int, payload: int, symbols: int, random: bool, steps: list[int]
) -> None:
    shortest = 1 if random and delay else None
    stream = Copy(3, delay, payload, symbols, shortest)
    tokens, targets, start = joined(stream, *steps)
    assert tokens.max() < stream.vocabulary
    assert start[:, 0].all()
    for row in range(3):
        begins = [*np.flatnonzero(start[row]), sum(steps)]
        for begin, end in itertools.pairwise(begins):
            symbol, slot = tokens[row, begin:end].T
            asked = np.flatnonzero(symbol == stream.ask)
            assert (symbol[:payload] < symbols).all()
            assert (targets[row, begin:end] != IGNORE).nonzero()[0].tolist() == asked.tolist()
            if len(asked):
                waited = asked[0] - payload
                assert waited == delay or (shortest and 1 <= waited <= delay)
                noise = symbol[payload : asked[0]]
                assert ((noise >= symbols) & (noise < 2 * symbols)).all()
            assert targets[row, begin + asked].tolist() == symbol[: len(asked)].tolist()
            assert slot[asked].tolist() == slot[: len(asked)].tolist()
            if end < sum(steps):
                assert len(asked) == payload


def test_delays_are_log_uniform() -> None:
    """Between 1 and 1,000 half of them lie below 32 (sqrt 1,000)."""
    stream = Copy(1000, 1000, shortest=1)
    assert abs((stream.delays < 32).mean() - 0.5) < 0.05
    assert stream.delays.min() == 1
    assert stream.delays.max() > 900
