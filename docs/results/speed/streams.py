"""Tokens per second of learning on streams, for the version of expirespan that Python finds: `python streams.py`.

Blocks of 16 streams by 64 steps, whose memory goes on from block to block, width 64, 2 layers, ramp 16, two threads.
Spans are all 230 steps ("long"), all 1 step ("short"), or long for one state in seventeen ("mixed").
"""

from __future__ import annotations

import json
import time

import torch

from expirespan.memory import ExpireSpan, TransformerMemory

B, T, D, BLOCKS, WARM_UP = 16, 64, 64, 60, 10


def tokens_per_second(regime: str) -> float:
    """Of the median block: unroll, backward, a step of Adam so small that spans stay."""
    torch.manual_seed(0)
    fraction = 0.9 if regime == "long" else 0.004
    memory = TransformerMemory(D, layers=2, heads=4, rule=ExpireSpan(256, ramp=16, init_fraction=fraction))
    if regime == "mixed":
        for rule in memory.rules:
            assert isinstance(rule, ExpireSpan)
            torch.nn.init.normal_(rule.predictor.weight, 0, 3.5 / D**0.5)
            torch.nn.init.constant_(rule.predictor.bias, -5.7)
    optimizer = torch.optim.Adam(memory.parameters(), 1e-9)
    state, start = memory.initial_state(B), torch.zeros(B, T, dtype=torch.bool)
    times = []
    for _ in range(BLOCKS):
        x = torch.randn(B, T, D)
        began = time.perf_counter()
        out = memory.unroll(x, state, start)
        state = out.state.detach()
        out.y.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
    times = sorted(times[WARM_UP:])
    return B * T / times[len(times) // 2]


if __name__ == "__main__":
    torch.set_num_threads(2)
    print(json.dumps({regime: round(tokens_per_second(regime)) for regime in ("long", "short", "mixed")}))
