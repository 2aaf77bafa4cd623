"""Compressive: which states are summed up, when, and what ties it to a fixed window."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_harness import D, Runner, assert_close, shake, stepped, unrolled
from torch import Tensor

from expirespan.memory import Compressive, FixedWindow, Rule, TransformerMemory
from expirespan.memory.rules.rule import Columns

BOTH = pytest.mark.parametrize("run", [stepped, unrolled])
START = torch.zeros(2, 14, dtype=torch.bool)
START[1, 5] = True


def build(rule: Rule, weights: TransformerMemory | None = None, **kwargs: Any) -> TransformerMemory:
    settings = {"layers": 2, "heads": 2, "positions": 2} | kwargs
    memory = TransformerMemory(width=D, rule=rule, **settings).double()
    if weights is None:
        shake(memory)
    else:
        memory.load_state_dict(weights.state_dict(), strict=False)
    return memory


def stream(batch: int = 2, length: int = 14) -> Tensor:
    return torch.randn(batch, length, D, dtype=torch.float64)


def numbered(*places: int, span: float = 2.0) -> Columns:
    """One environment; the state written at place p is the number p."""
    place = torch.tensor([places])
    return Columns(place[..., None].double(), place, torch.zeros_like(place), torch.full(place.shape, span))


def test_a_group_is_summed_up_when_its_oldest_state_leaves_the_window() -> None:
    """A window of 3, pairs; the episode began at -4. In 6 steps -2, 0 and 2 leave the window and lead a pair."""
    rule = Compressive(window=3, slots=5, factor=2, compression="mean")
    made = rule.summaries(numbered(-2, -1, 0, 1, 2, 3, 4, 5), torch.full((1, 8), -4), steps=6)
    assert made.columns.place_BK.tolist() == [[-2, 0, 2]]
    assert made.columns.h_BKD.flatten().tolist() == [-1.5, 0.5, 2.5]
    assert made.columns.span_BK.tolist() == [[12.0] * 3]
    assert made.states_BGcD.flatten(2).tolist() == [[[-2, -1], [0, 1], [2, 3]]]

    def made_in_a_step(*places: int, begin: int) -> bool:
        made = rule.summaries(numbered(*places), torch.full((1, len(places)), begin), steps=1)
        return made.columns.episode_BK.tolist() == [[0]]

    assert not made_in_a_step(-2, -1, 0, begin=-3), "-2 is no leader"
    assert made_in_a_step(-2, -1, 0, begin=-2)
    assert not made_in_a_step(-1, 0, begin=-1), "still in the window"


def test_summaries_are_not_summed_up_again_and_groups_must_be_whole() -> None:
    rule = Compressive(window=3, slots=5, factor=2, compression="max")
    begin = torch.full((1, 4), -2)
    for columns in (numbered(-2, -1, 0, 1, span=12), numbered(-2, 0, 1, 2)):
        made = rule.summaries(columns, begin, steps=2)
        assert made.columns.episode_BK.tolist() == [[-1]], (
            "summaries, and a pair whose second state is missing"
        )


def test_compressions_by_hand() -> None:
    states = torch.tensor([[[[1.0, 6.0], [3.0, -2.0]]]])
    for name, expected in (("mean", [2, 2]), ("max", [3, 6]), ("conv", [2, 2])):
        rule = Compressive(window=4, factor=2, compression=name)  # type: ignore[arg-type]
        rule.attach(width=2)
        assert rule.compress(states).flatten().tolist() == expected, "a convolution begins as the mean"
    assert rule.convolution is not None
    rule.convolution.weight.data = torch.tensor([[1.0, 10, 100, 1000], [0, 0, 0, 1]])
    rule.convolution.bias.data = torch.tensor([0.5, 0])
    assert rule.compress(states).flatten().tolist() == [1 + 60 + 300 - 2000 + 0.5, -2]


@given(
    window=st.integers(2, 6),
    slots=st.integers(1, 8),
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
@settings(derandomize=True, deadline=None, max_examples=15)
def test_summaries_of_one_state_are_a_longer_window(window: int, slots: int, blocks: list[int]) -> None:
    """c = 1, where mean, max and convolution are the identity: states + summaries = a window of as many."""
    torch.manual_seed(0)
    plain = build(FixedWindow(window + slots))
    memory = build(Compressive(window, slots, factor=1, compression="mean"), plain)
    x, state, expected = stream(length=sum(blocks)), memory.initial_state(2), plain.initial_state(2)
    start = torch.rand(2, sum(blocks)) < 0.1
    begin = 0
    for length in blocks:
        part = slice(begin, begin + length)
        out, other = (
            m.unroll(x[:, part], s, start[:, part]) for m, s in ((memory, state), (plain, expected))
        )
        assert_close(out.y, other.y)
        assert all(map(torch.equal, out.trace.alive, other.trace.alive))
        state, expected, begin = out.state, other.state, begin + length


@BOTH
def test_within_the_window_it_is_a_window(run: Runner) -> None:
    plain = build(FixedWindow(14))
    memory = build(Compressive(14, slots=3, factor=5), plain)
    x = stream()
    assert_close(
        run(memory, x, memory.initial_state(2), START).y, run(plain, x, plain.initial_state(2), START).y
    )


@BOTH
def test_what_is_read_and_what_is_left(run: Runner) -> None:
    """A window of 4, 2 summaries of 3: alive by hand, and the places of what is left after 14 steps.

    From step 4 on there is a summary (of 0-2, while 1 and 2 are still in the window), from step 7 on two, and never
    more. Before step 14 the states 11, 12 and 13 are left, and the summaries of 6-8 and 9-11; that of 3-5 is over.
    """
    memory = build(Compressive(4, slots=2, factor=3))
    after = run(memory, stream(), memory.initial_state(2), START)
    assert after.alive[0][0].tolist() == [1, 2, 3, 4, 5, 5, 5, *[6] * 7]
    assert after.births[0][0] == [6, 9, 11, 12, 13]
    assert after.births[0][1] == [0, 3, 6, 7, 8], "nine steps into its episode"


@BOTH
def test_one_layer_reads_the_mean_of_what_left_the_window(run: Runner) -> None:
    """Against attention over [mean(h0, h1), h2, h3] written out."""
    memory = build(Compressive(2, slots=1, factor=2, compression="mean"), layers=1, positions=1)
    x = stream(1, 4)
    layer = memory.layers[0]
    h = torch.stack([x[0, :2].mean(0), x[0, 2], x[0, 3]])
    n = layer.norm(h)
    q, (k, v) = layer.query(n[2:]), layer.key_value(n).chunk(2, -1)
    parts = []
    for head in (slice(0, D // 2), slice(D // 2, D)):
        score = q[:, head] @ k[:, head].T
        own = (q[:, head] * layer.position[len(parts), 0]).sum(-1)
        score[:, 2] = score[:, 2] + own
        parts.append(torch.softmax(score / (D // 2) ** 0.5, -1) @ v[:, head])
    y = layer.gates[0](x[0, 3:], layer.out(torch.cat(parts, -1)))
    y = memory.norm(layer.gates[1](y, layer.ff(y)))
    found = run(memory, x, memory.initial_state(1), torch.zeros(1, 4, dtype=torch.bool)).y
    assert_close(found[:, 3], y)


def test_reconstruction_trains_the_convolution_alone() -> None:
    memory = build(Compressive(4, slots=2, factor=2))
    x = stream().requires_grad_()
    out = memory.unroll(x, memory.initial_state(2), START)
    assert out.auxiliary.shape == (2,)
    assert (out.auxiliary > 0).all()
    out.auxiliary.sum().backward()
    reached = {name for name, p in memory.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {f"layers.{i}.rule.convolution.{part}" for i in (0, 1) for part in ("weight", "bias")}
    assert x.grad is None or not x.grad.any()


def test_reconstruction_is_zero_where_nothing_is_lost_or_learned() -> None:
    """Pairs of equal states are equal to their mean; pooling learns nothing; nothing is due in a short block."""
    memory = TransformerMemory(width=D, heads=2, layers=1, rule=Compressive(4, slots=2, factor=2)).double()
    pairs = stream(2, 7).repeat_interleave(2, 1)
    none = torch.zeros(2, 14, dtype=torch.bool)
    assert_close(memory.unroll(pairs, memory.initial_state(2), none).auxiliary, torch.zeros(1).double())
    assert memory.unroll(stream(), memory.initial_state(2), none).auxiliary.item() > 1e-6
    assert memory.unroll(stream()[:, :3], memory.initial_state(2), none[:, :3]).auxiliary.item() == 0
    pool = build(Compressive(4, slots=2, factor=2, compression="mean"))
    assert pool.unroll(stream(), pool.initial_state(2), none).auxiliary.tolist() == [0, 0]


def test_descending_on_the_reconstruction_lowers_it() -> None:
    memory = build(Compressive(4, slots=4, factor=2), layers=1)
    x, none = stream(4, 16), torch.zeros(4, 16, dtype=torch.bool)
    optimizer = torch.optim.Adam(memory.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = memory.unroll(x, memory.initial_state(4), none).auxiliary.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_task_trains_the_convolution_too() -> None:
    """Where a summary is read in the block in which it was made."""
    memory = build(Compressive(4, slots=2, factor=2), layers=1)
    memory.unroll(stream(), memory.initial_state(2), START).y.square().sum().backward()
    weight = memory.rules[0].convolution.weight  # type: ignore[union-attr]
    assert weight.grad is not None
    assert weight.grad.any()
