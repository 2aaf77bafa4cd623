"""Ages of millions of steps: exact to the step in 32 bits up to the longest span that a rule allows."""

from __future__ import annotations

import math

import pytest
import torch

from expirespan.memory import (
    AdaptiveSpan,
    Compressive,
    ExpireSpan,
    FixedWindow,
    Rule,
    TransformerMemory,
)
from expirespan.memory.slots import LayerMemories
from expirespan.memory.transformer_state import TransformerState
from expirespan.parameters import EXACT

RAMP = 16
LONGEST = EXACT - RAMP


def longest_span(attention: str) -> TransformerMemory:
    """A memory in 32 bits that gives every state the longest span there is."""
    torch.manual_seed(0)
    rule = ExpireSpan(LONGEST, ramp=RAMP)
    memory = TransformerMemory(8, 1, 2, rule, attention=attention)  # type: ignore[arg-type]
    torch.nn.init.constant_(memory.rules[0].predictor.bias, 100.0)  # type: ignore[arg-type, union-attr]
    return memory


def old(time: int) -> TransformerState:
    """One memory, written at step 0, when the clock stands at ``time``."""
    birth, h = torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1, 8)
    return TransformerState.of(torch.tensor([time]), [LayerMemories(birth, h[..., 0], h)])


@pytest.mark.parametrize("attention", ["auto", "plain"])
@pytest.mark.parametrize("left", [1, 2, 3, RAMP, RAMP + 1])
def test_the_oldest_memory_is_deleted_at_the_exact_step(attention: str, left: int) -> None:
    """It is read until its age is span + ramp - 1 = 2**24 - 1, and deleted then. Steps and blocks agree."""
    memory, go_on = longest_span(attention), torch.zeros(1, dtype=torch.bool)
    state = old(EXACT - left)
    x = torch.randn(1, left + 1, 8)
    whole = memory.unroll(x, state, go_on[:, None].expand(1, left + 1))
    for t in range(left + 1):
        out = memory.step(x[:, t], state, go_on)
        state = out.state
        torch.testing.assert_close(out.y, whole.y[:, t], rtol=1e-5, atol=1e-5)
        kept = bool((state.layers[0].birth_BS == 0).any())
        assert kept == (EXACT - left + t + 1 < EXACT), "age at the next step"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExpireSpan(LONGEST + 1, ramp=RAMP),
        lambda: ExpireSpan(1e308),
        lambda: ExpireSpan(8, ramp=1e-300),
        lambda: ExpireSpan(8, ramp=EXACT),
        lambda: ExpireSpan(math.nan),
        lambda: AdaptiveSpan(LONGEST + 1, ramp=RAMP),
        lambda: AdaptiveSpan(8, ramp=math.nan),
        lambda: FixedWindow(EXACT + 1),
        lambda: FixedWindow(math.nan),
        lambda: Compressive(window=2**25),
        lambda: Compressive(window=8, slots=2**23, factor=4),
    ],
)
def test_what_cannot_be_counted_is_refused(make: type[Rule]) -> None:
    with pytest.raises(ValueError, match=r"(max_span|ramp|window|factor) must be"):
        make()


def test_a_span_raised_after_training_is_checked_too() -> None:
    rule = ExpireSpan(8, ramp=RAMP)
    rule.max_span = LONGEST
    for wrong in (LONGEST + 1, -1.0, math.nan):
        with pytest.raises(ValueError, match="max_span must be"):
            rule.max_span = wrong
    assert rule.max_span == LONGEST


@pytest.mark.parametrize(
    "rule", [FixedWindow(300), Compressive(300, slots=4, factor=4)], ids=["window", "compressive"]
)
def test_a_window_is_exact_under_autocast(rule: Rule) -> None:
    """bfloat16 counts to 256: beyond, a step and a block must still delete the same memories."""
    memory = TransformerMemory(width=8, heads=2, layers=1, rule=rule)
    start, encoder = torch.zeros(1, 310, dtype=torch.bool), torch.nn.Linear(8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        x = encoder(torch.randn(1, 310, 8))
        block, state = memory.unroll(x, memory.initial_state(1), start), memory.initial_state(1)
        for t in range(310):
            out = memory.step(x[:, t], state, start[:, t])
            state = out.state
    assert out.trace.spans[0].item() == block.trace.spans[0][0, -1].item() == 299
    assert out.trace.alive[0].item() == block.trace.alive[0][0, -1].item()
