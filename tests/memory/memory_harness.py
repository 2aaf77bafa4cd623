"""What the tests of every registered memory share: the cases, two ways to run them, and how to compare.

A new member of `MEMORIES` gets a case by being there; it may add settings of its own to `SETTINGS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from expirespan.memory import MEMORIES, Memory, MemoryOutput, MemoryState, Rule, make_memory

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "expire_span": [
        {"max_span": 9, "ramp": 0.5, "layers": 1, "gate": "gru", "penalty": "ramp", "positions": 1},
        {"max_span": 12, "ramp": 3, "init_fraction": 0.4, "heads": 2, "positions": 3},
        {"max_span": 30, "ramp": 6.5, "init_fraction": 0.1, "stabilizer": 2, "heads": 1, "positions": 40},
    ],
    "fixed_window": [
        {"window": 5, "layers": 1, "heads": 2, "positions": 3},
        {"window": 1, "positions": 2},
        {"window": math.inf, "heads": 1, "gate": "gru", "ff_width": 3, "positions": 4},
    ],
    "adaptive_span": [
        {"max_span": 9, "ramp": 2.5, "init_fraction": 0.4, "positions": 3},
        {"max_span": 6, "ramp": 0.5, "layers": 1, "heads": 2, "gate": "gru", "positions": 9},
        {"max_span": 30, "ramp": 6.5, "init_fraction": 0.1, "heads": 1},
    ],
    "compressive": [
        {"window": 5, "slots": 2, "factor": 3, "heads": 2, "positions": 3},
        {"window": 4, "slots": 3, "factor": 4, "compression": "max", "layers": 1, "positions": 9},
        {"window": 3, "slots": 1, "factor": 2, "compression": "mean", "gate": "gru", "heads": 1},
        {"window": 2, "slots": 40, "factor": 1, "positions": 2},
    ],
    "lstm": [{}, {"layers": 2}],
    "gru": [{}, {"layers": 3}],
}
CASES = [
    pytest.param((name, kwargs), id=f"{name}-{i}")
    for name in MEMORIES
    for i, kwargs in enumerate(SETTINGS.get(name, [{}]))
]
FIRST_CASES = [case for case in CASES if str(case.id).endswith("-0")]
RULE_CASES = [case for case in CASES if issubclass(MEMORIES[str(case.id).rsplit("-")[0]], Rule)]
B, T, D = 4, 24, 8
Case = tuple[str, dict[str, Any]]
Runner = Callable[..., "Run"]


def starts(*flags: tuple[int, int], steps: int = T) -> Tensor:
    """Episode starts (B, steps) at the given (environment, step)."""
    table = torch.zeros(B, steps, dtype=torch.bool)
    for env, step in flags:
        table[env, step] = True
    return table


# Environment 0 continues throughout; the others start at step 0, twice running, at the middle and at the end.
STARTS = starts((1, 0), (1, 7), (2, 5), (2, 6), (2, 12), (3, 11), (3, T - 1))
WARM_UP = starts((1, 3), (2, 10), (3, 14), steps=15)


def build(case: Case, width: int = D) -> Memory[Any]:
    """The memory with all weights moved away from their initial values, so that no two spans are equal."""
    name, kwargs = case
    memory = make_memory(name, width=width, **kwargs).double()
    shake(memory)
    return memory


def shake(memory: Memory[Any]) -> None:
    """Change every weight."""
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))


@dataclass
class Run:
    """Results of a block, however it was computed. ``births``: per layer and environment, sorted."""

    y: Tensor
    spans: list[Tensor]
    alive: list[Tensor]
    births: list[list[list[int]]]
    penalty: Tensor
    state: Any


def collect(outputs: list[MemoryOutput[Any]], lengths: list[int]) -> Run:
    """Join the outputs of consecutive blocks; penalties are averaged over the steps."""
    penalties = torch.stack([out.penalty * n for out, n in zip(outputs, lengths, strict=True)])
    return Run(
        y=torch.cat([out.y for out in outputs], 1),
        spans=[torch.cat(parts, 1) for parts in zip(*(out.trace.spans for out in outputs), strict=True)],
        alive=[torch.cat(parts, 1) for parts in zip(*(out.trace.alive for out in outputs), strict=True)],
        births=[[sorted(b for b in row if b >= 0) for row in t.tolist()] for t in outputs[-1].trace.births],
        penalty=penalties.sum(0) / sum(lengths),
        state=outputs[-1].state,
    )


def stepped(memory: Memory[Any], x: Tensor, state: MemoryState, start: Tensor) -> Run:
    """One step after the other."""
    outputs = []
    for t in range(x.shape[1]):
        out = memory.step(x[:, t], state, start[:, t])
        state = out.state
        outputs.append(replace(out, y=out.y[:, None]))
    return collect(outputs, [1] * len(outputs))


def unrolled(memory: Memory[Any], x: Tensor, state: MemoryState, start: Tensor, *cuts: int) -> Run:
    """Consecutive unrolls, cut before the given steps."""
    blocks = list(pairwise([0, *cuts, x.shape[1]]))
    outputs = []
    for begin, end in blocks:
        outputs.append(memory.unroll(x[:, begin:end], state, start[:, begin:end]))
        state = outputs[-1].state
    return collect(outputs, [end - begin for begin, end in blocks])


def assert_close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def assert_same(one: Run, other: Run) -> None:
    assert_close(one.y, other.y)
    assert_close(one.spans, other.spans)
    assert all(map(torch.equal, one.alive, other.alive))
    assert one.births == other.births


def inputs(width: int = D, steps: int = T) -> Tensor:
    return torch.randn(B, steps, width, dtype=torch.float64)


def warm(memory: Memory[Any]) -> Any:
    """A state in the middle of four episodes of different age, reached by acting."""
    return stepped(memory, inputs(memory.width, 15), memory.initial_state(B), WARM_UP).state
