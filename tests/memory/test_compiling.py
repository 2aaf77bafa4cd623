"""Programs that `torch.compile` makes of a memory compute what it computes, however many memories there are."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from expirespan.memory import ExpireSpan, TransformerMemory

B, T = 3, 12


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on CPUs")
def test_compiled_memories() -> None:
    memories: list[Any] = []
    for compile in (True, False):
        torch.manual_seed(0)
        rule = ExpireSpan(40, ramp=4, init_fraction=0.5)
        memories.append(TransformerMemory(16, heads=2, rule=rule, compile=compile))
    counters.clear()
    state = memories[1].initial_state(B)
    graphs = []
    for _ in range(4):  # blocks that find 0, 12, 24 and 24 memories
        x, start = torch.randn(B, T, 16), torch.rand(B, T) < 0.05
        found, expected = (memory.unroll(x, state, start, need_state=False).y for memory in memories)
        torch.testing.assert_close(found, expected)
        own = torch.autograd.grad(found.square().mean(), memories[0].parameters(), allow_unused=True)
        theirs = torch.autograd.grad(expected.square().mean(), memories[1].parameters(), allow_unused=True)
        for mine, other in zip(own, theirs, strict=True):
            torch.testing.assert_close(0 if mine is None else mine, 0 if other is None else other)
        states = [state, state]
        for t in range(T):
            outs = [m.step(x[:, t], s, start[:, t]) for m, s in zip(memories, states, strict=True)]
            torch.testing.assert_close(outs[0].y, outs[1].y)
            states = [out.state for out in outs]
        state = states[1]
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[-1] == graphs[-2], "no program is made for a number of memories alone"
    assert graphs[-1] <= 8
