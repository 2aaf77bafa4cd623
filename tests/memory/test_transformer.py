"""TransformerMemory against attention written out in full: the T x T mask, nothing deleted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_harness import D, Runner, assert_close, shake, stepped, unrolled
from torch import Tensor, nn

from expirespan.memory import ExpireSpan, FixedWindow, Rule, TransformerMemory, TransformerState

Mask = Callable[[Tensor, Tensor], Tensor]
"""m (T, T) from the spans e_i of the keys (1, T) and the ages t - i (T, T)."""


def build(rule: Rule, seed: int = 0, **kwargs: Any) -> TransformerMemory:
    """Two layers of width 8 with all weights moved away from their initial values."""
    torch.manual_seed(seed)
    memory = TransformerMemory(width=D, rule=rule, **({"heads": 2, "positions": 4} | kwargs)).double()
    shake(memory)
    return memory


def dense(
    memory: TransformerMemory, x_TD: Tensor, start_T: Tensor, mask: Mask
) -> tuple[Tensor, list[Tensor]]:
    """One environment from a fresh state: outputs (T, D) and per layer a' = m a / sum m a (H, T, T).

    Nothing is ever deleted; `a` is the softmax over the whole past of the episode.
    """
    T = len(x_TD)
    steps, episode = torch.arange(T), start_T.long().cumsum(0)
    age = steps[:, None] - steps[None, :]
    past = (age >= 0) & (episode[:, None] == episode[None, :])
    weights = []
    for layer in memory.layers:
        n = layer.norm(x_TD)
        M, d = layer.position.shape[1:]
        q, k, v = (
            projected.view(T, layer.heads, d).transpose(0, 1)
            for projected in (layer.query(n), *layer.key_value(n).chunk(2, -1))
        )
        score = q @ k.transpose(1, 2)
        for t in range(T):
            for i in range(max(0, t - M + 1), t + 1):
                score[:, t, i] = score[:, t, i] + (q[:, t] * layer.position[:, t - i]).sum(-1)
        a = torch.softmax((score / math.sqrt(d)).masked_fill(~past, -math.inf), -1)
        m = mask(layer.rule.spans(n)[None], age)
        weights.append(m * a / (m * a).sum(-1, keepdim=True))
        read = (weights[-1] @ v).transpose(0, 1).reshape(T, D)
        x_TD = layer.gates[0](x_TD, layer.out(read))
        x_TD = layer.gates[1](x_TD, layer.ff(x_TD))
    return memory.norm(x_TD), weights


def assert_dense(memory: TransformerMemory, x: Tensor, start: Tensor, mask: Mask) -> None:
    expected = torch.stack([dense(memory, *row, mask)[0] for row in zip(x, start, strict=True)])
    for run in (unrolled, stepped):
        assert_close(run(memory, x, memory.initial_state(len(x)), start).y, expected)


def stream(batch: int = 2, length: int = 14) -> tuple[Tensor, Tensor]:
    """Inputs and starts: an unbroken episode, and one that begins again at step 5."""
    start = torch.zeros(batch, length, dtype=torch.bool)
    start[1:, 5] = True
    return torch.randn(batch, length, D, dtype=torch.float64), start


def soft(ramp: float) -> Mask:
    """m of the paper."""
    return lambda e, age: (1 + (e - age) / ramp).clamp(0, 1)


@given(
    ramp=st.floats(0.3, 12),
    max_span=st.floats(1, 20),
    init_fraction=st.floats(0.1, 0.9),
    heads=st.sampled_from([1, 2, 4]),
    positions=st.integers(1, 16),
    gate=st.sampled_from(["residual", "gru"]),
    start=st.integers(1, 12).flatmap(
        lambda T: st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=3)
    ),
    seed=st.integers(0, 2**31),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_expire_span_multiplies_by_the_mask_and_normalises(
    ramp: float, max_span: float, init_fraction: float, start: list[list[bool]], seed: int, **kwargs: Any
) -> None:
    memory = build(ExpireSpan(max_span, ramp, init_fraction), seed, **kwargs)
    x = torch.randn(len(start), len(start[0]), D, dtype=torch.float64)
    assert_dense(memory, x, torch.tensor(start), soft(ramp))


def test_attention_in_the_trace() -> None:
    """The weights a' themselves, over memories that came with the state and the block, oldest first."""
    memory = build(ExpireSpan(max_span=6, ramp=3, init_fraction=0.5))
    x, start = stream()
    expected = [dense(memory, x[env], start[env], soft(3))[1] for env in range(2)]
    first = memory.unroll(x[:, :9], memory.initial_state(2), start[:, :9], need_attention=True)
    assert first.trace.attention is not None
    for layer, found in enumerate(first.trace.attention):
        assert_close(found, torch.stack([row[layer][:, :9, :9] for row in expected]))

    second = memory.unroll(x[:, 9:], first.state, start[:, 9:], need_attention=True)
    assert second.trace.attention is not None
    for layer, found in enumerate(second.trace.attention):
        for env, begin in enumerate((0, 5)):
            births = [b for b in first.trace.births[layer][env].tolist() if b >= 0]
            keys = [begin + b for b in births] + list(range(9, 14))
            columns = list(range(found.shape[-1] - 5 - len(births), found.shape[-1]))
            assert_close(found[env][..., columns], expected[env][layer][:, 9:, keys])
    assert memory.unroll(x, memory.initial_state(2), start).trace.attention is None


@pytest.mark.parametrize("max_span", [0.7, 4.0, 9.0])
def test_a_vanishing_ramp_is_a_hard_cut(max_span: float) -> None:
    memory = build(ExpireSpan(max_span, ramp=1e-12, init_fraction=0.5))
    assert_dense(memory, *stream(), lambda e, age: (age <= e).double())


@pytest.mark.parametrize("window", [1, 3, 13, 100, math.inf])
def test_fixed_window_masks_by_age(window: float) -> None:
    assert_dense(build(FixedWindow(window)), *stream(), lambda e, age: (age < window).double())


@pytest.mark.parametrize("run", [unrolled, stepped])
def test_a_window_is_expire_span_with_equal_spans(run: Runner) -> None:
    """The whole episode: spans infinite by a floor, or a billion by the weights. Four states: spans of 3."""
    x, start = stream()
    learned = build(ExpireSpan(max_span=5, ramp=2))
    fresh = learned.initial_state(2)

    def same_weights(rule: Rule) -> TransformerMemory:
        memory = build(rule)
        memory.load_state_dict(learned.state_dict(), strict=False)
        for name, parameter in memory.named_parameters():
            if "predictor" in name:
                nn.init.constant_(parameter, 0.0)
        return memory

    whole = run(same_weights(FixedWindow(math.inf)), x, fresh, start).y
    endless = fresh.with_spans(floor=torch.full((2,), math.inf))
    assert_close(run(learned, x, endless, start).y, whole)
    assert_close(run(same_weights(ExpireSpan(1e7, ramp=16)), x, fresh, start).y, whole)
    assert not torch.allclose(run(learned, x, fresh, start).y, whole)

    four = run(same_weights(FixedWindow(4)), x, fresh, start).y
    assert_close(run(same_weights(ExpireSpan(6, ramp=1e-9)), x, fresh, start).y, four)
    assert not torch.allclose(four, whole)


def test_the_mask_gives_the_predictor_a_gradient() -> None:
    """The outputs alone move every predictor, by memories before and within the block; so does a penalty."""
    memory = build(ExpireSpan(max_span=8, ramp=6, init_fraction=0.5))
    x, start = stream()
    warm = memory.unroll(x, memory.initial_state(2), start).state.detach()
    weights = [rule.predictor.weight for rule in memory.rules]  # type: ignore[union-attr]
    for length in (1, 14):
        out = memory.unroll(x[:, :length], warm, torch.zeros(2, length, dtype=torch.bool))
        for loss in ((out.y**3).sum(), out.penalty.sum()):
            grads = torch.autograd.grad(loss, weights, retain_graph=True)
            assert all(grad.abs().sum() > 1e-6 for grad in grads)


@pytest.mark.parametrize("run", [unrolled, stepped])
def test_nothing_depends_on_the_time_in_the_episode(run: Runner) -> None:
    """A state whose clock reads 10 million more answers the same: no table ends, no age is confused."""
    memory = build(ExpireSpan(max_span=8, ramp=3, init_fraction=0.5))
    x, start = stream()
    none = torch.zeros_like(start)
    state = stepped(memory, x, memory.initial_state(2), start).state
    tensors = state.state_dict()
    for name in tensors:
        if name == "time" or name.endswith("birth"):
            tensors[name] = torch.where(tensors[name] >= 0, tensors[name] + 10**7, tensors[name])
    late = run(memory, x, TransformerState.from_state_dict(tensors), none)
    soon = run(memory, x, state, none)
    assert_close(late.y, soon.y)
    assert late.births == [[[b + 10**7 for b in row] for row in layer] for layer in soon.births]


def test_output_scale_is_the_size_of_the_first_outputs() -> None:
    """The last norm has no bias yet, so outputs are proportional to it."""
    outputs = []
    for scale in (1.0, 0.25):
        torch.manual_seed(0)
        memory = TransformerMemory(8, heads=2, rule=FixedWindow(4), output_scale=scale).double()
        x = torch.randn(2, 5, 8, dtype=torch.float64)
        start = torch.zeros(2, 5, dtype=torch.bool)
        outputs.append(memory.unroll(x, memory.initial_state(2), start).y)
    torch.testing.assert_close(0.25 * outputs[0], outputs[1])


def test_output_scale_is_positive() -> None:
    with pytest.raises(ValueError, match="output_scale must be a finite number > 0, got 0"):
        TransformerMemory(8, heads=2, rule=FixedWindow(4), output_scale=0)


@pytest.mark.parametrize(("window", "told"), [(math.inf, math.inf), (7, 6)])
def test_spans_without_limit_are_told_as_infinite(window: float, told: float) -> None:
    memory = TransformerMemory(8, layers=2, heads=2, rule=FixedWindow(window))
    x, starts = torch.randn(3, 5, 8), torch.zeros(3, 5, dtype=torch.bool)
    acted = memory.step(x[:, 0], memory.initial_state(3), starts[:, 0]).trace
    learned = memory.unroll(x, memory.initial_state(3), starts).trace
    for trace, T in ((acted, 1), (learned, 5)):
        assert all(span.tolist() == [[told] * T] * 3 for span in trace.told_spans())
