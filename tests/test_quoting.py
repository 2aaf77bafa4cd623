"""Values and errors in messages: one line, bounded, the end kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expirespan.quoting import ERROR, VALUE, said, shortened, shown


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


VALUES = st.recursive(
    st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.just("x" * 10**5)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(VALUES)
def test_any_value_is_a_short_line(value: object) -> None:
    text = shown(value)
    assert text and len(text) <= VALUE and "\n" not in text
    line = said(ValueError(value))
    assert line and len(line) <= ERROR and "\n" not in line


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**6000, id="long"),
        np.arange(6).reshape(2, 3),
        np.zeros(10**6),
        Unspeakable(),
        [[[[]]]] * 10**6,
    ],
)
def test_other_values(value: object) -> None:
    for text in (shown(value), said(ValueError(value))):
        assert text and len(text) <= ERROR and "\n" not in text


def test_short_values_are_whole() -> None:
    assert shown("it's") == '"it\'s"' and shown([1, {"a": None}]) == "[1, {'a': None}]"
    assert said(KeyError("x")) == "KeyError: 'x'" and said(ValueError()) == "ValueError"
    assert said(ValueError("a  line\nand more")) == "a line and more"


def test_a_long_text_keeps_beginning_and_end() -> None:
    assert shortened("a" * 50 + "z" * 50, 30) == "a" * 18 + "..." + "z" * 9
    assert shortened("a" * 30, 30) == "a" * 30
