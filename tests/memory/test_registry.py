"""Memories by name, and what their constructors refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest

from expirespan.memory import (
    MEMORIES,
    ExpireSpan,
    FixedWindow,
    GRUMemory,
    LSTMMemory,
    TransformerMemory,
    make_memory,
)
from expirespan.memory.transformer_layer import GRUGate

EXPIRE = {"width": 8, "max_span": 64}


def test_names() -> None:
    """Users' configuration files depend on these."""
    assert set(MEMORIES) >= {"expire_span", "fixed_window", "adaptive_span", "compressive", "lstm", "gru"}


def test_arguments_go_where_they_belong() -> None:
    memory = make_memory(
        "expire_span",
        width=8,
        layers=3,
        heads=2,
        max_span=64,
        ramp=5,
        penalty="ramp",
        gate="gru",
        positions=7,
    )
    assert isinstance(memory, TransformerMemory)
    assert memory.width == 8
    assert len(memory.layers) == len(memory.rules) == 3
    assert memory.layers[0].heads == 2
    assert memory.layers[0].position.shape == (2, 7, 4)
    assert all(isinstance(gate, GRUGate) for gate in memory.layers[2].gates)
    rule = memory.rules[2]
    assert isinstance(rule, ExpireSpan)
    assert (rule.max_span, rule.ramp, rule.penalty_kind) == (64, 5, "ramp")


def test_each_layer_has_its_own_predictor_shared_by_its_heads() -> None:
    rule = ExpireSpan(max_span=64)
    memory = TransformerMemory(width=8, layers=2, heads=4, rule=rule)
    first, second = memory.rules
    assert isinstance(first, ExpireSpan)
    assert isinstance(second, ExpireSpan)
    assert first.predictor.weight.shape == (1, 8)
    assert first.predictor.weight is not second.predictor.weight
    assert rule.predictor.weight.shape == (1, 1), "the rule given remains as it was, for another memory"


def test_other_memories() -> None:
    window = make_memory("fixed_window", width=8, window=3)
    assert isinstance(window, TransformerMemory)
    assert isinstance(window.rules[0], FixedWindow)
    assert window.rules[0].max_span == 2
    lstm, gru = make_memory("lstm", width=8, layers=2), make_memory("gru", width=8)
    assert isinstance(lstm, LSTMMemory)
    assert isinstance(gru, GRUMemory)
    assert (lstm.rnn.num_layers, gru.rnn.num_layers) == (2, 1)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown memory 'expire'; choose one of expire_span, fixed_window"):
        make_memory("expire", width=8)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("expire_span", EXPIRE | {"window": 3}, "takes no window; it takes .*max_span"),
        ("expire_span", EXPIRE | {"rule": None}, "takes no rule"),
        ("fixed_window", {"width": 8, "window": 3, "ramp": 4, "max_span": 2}, "takes no max_span, ramp"),
        ("lstm", {"width": 8, "heads": 2}, "takes no heads; it takes chrono, layers, width"),
        ("gru", {"width": 8, "gate": "gru"}, "takes no gate"),
        ("expire_span", {"width": 8}, "max_span"),
        ("fixed_window", {"window": 8}, "width"),
        ("lstm", {}, "width"),
    ],
)
def test_arguments_that_no_part_takes_or_that_are_missing(
    name: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make_memory(name, **kwargs)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("expire_span", {"max_span": 0}),
        ("expire_span", {"max_span": -3}),
        ("expire_span", {"max_span": math.inf}),
        ("expire_span", {"max_span": math.nan}),
        ("expire_span", {"ramp": 0}),
        ("expire_span", {"ramp": -1}),
        ("expire_span", {"ramp": math.inf}),
        ("expire_span", {"init_fraction": 0}),
        ("expire_span", {"init_fraction": 1}),
        ("expire_span", {"stabilizer": 0}),
        ("expire_span", {"stabilizer": math.inf}),
        ("expire_span", {"penalty": "none"}),
        ("fixed_window", {"window": 0}),
        ("fixed_window", {"window": 2.5}),
        ("fixed_window", {"window": math.nan}),
        ("adaptive_span", {"max_span": 0}),
        ("adaptive_span", {"max_span": math.inf}),
        ("adaptive_span", {"ramp": 0}),
        ("adaptive_span", {"init_fraction": 1}),
        ("compressive", {"window": 0}),
        ("compressive", {"slots": 0}),
        ("compressive", {"slots": 1.5}),
        ("compressive", {"factor": 0}),
        ("compressive", {"factor": 9}),
        ("compressive", {"compression": "dilated"}),
        ("expire_span", {"width": 0}),
        ("expire_span", {"layers": 0}),
        ("expire_span", {"heads": 3}),
        ("expire_span", {"heads": 0}),
        ("expire_span", {"gate": "sum"}),
        ("expire_span", {"ff_width": 0}),
        ("expire_span", {"positions": 0}),
        ("lstm", {"width": 0}),
        ("gru", {"layers": 0}),
    ],
)
def test_bad_values_name_argument_and_value(name: str, bad: dict[str, Any]) -> None:
    needed = {
        "expire_span": EXPIRE,
        "adaptive_span": EXPIRE,
        "fixed_window": {"width": 8},
        "compressive": {"width": 8, "window": 8},
    }.get(name, {"width": 8})
    ((argument, value),) = bad.items()
    with pytest.raises(ValueError, match=rf"^{argument} must be .*got {value!r}$"):
        make_memory(name, **(needed | bad))


def test_a_transformer_needs_a_rule() -> None:
    for rule in (None, "expire_span", ExpireSpan):
        with pytest.raises(ValueError, match="rule must be a rule for forgetting"):
            TransformerMemory(width=8, rule=rule)  # type: ignore[arg-type]
