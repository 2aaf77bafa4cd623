"""The store of memories against plain Python lists, also when several states grow from one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from expirespan.memory.slots import ABSENT, ROOM, LayerMemories, Slots, Store, take_columns

B, L, D, H = 3, 2, 2, 2
Rows = list[list[float]]
"""Per environment the numbers of its memories, oldest first; the same in both layers."""


def tensors(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """h (B, [S,] D), k (B, H, d[, S]) and v (B, H, [S,] d): all told apart by number, environment and head."""
    h = torch.stack([numbers, -numbers], -1)
    head = torch.tensor([10.0, 20.0]).view(1, H, *[1] * numbers.dim())
    return h, numbers[:, None, None] + head, numbers[:, None, ..., None] + head + 0.5


def empty(keys: bool = True) -> Slots:
    """No memories, in two layers; one key per head and memory."""
    none = torch.zeros(B, 0)
    h, k, v = tensors(none)
    store = Store(torch.zeros(B, L, 0), [h] * L, [(k, v)] * L if keys else [], [], 0)
    return Slots(torch.zeros(B, L, 0, dtype=torch.long), store, 0, 0, torch.zeros(B, L, dtype=torch.long))


def add(slots: Slots, number: int) -> Slots:
    """Write memory ``number`` + environment / 10 to every row, as a step does."""
    numbers = number + torch.arange(B) / 10
    h, k, v = tensors(numbers)
    slots = slots.with_room(1)
    birth, store, slot = slots.birth_BLC.clone(), slots.store, slots.used
    assert store.used == slot
    assert not birth[..., slot:].ge(0).any()
    birth[..., slot] = number
    store.span_BLC[..., slot] = numbers[:, None] / 2
    for i in range(L):
        at = slot - slots.lead(i)
        store.h[i][:, at] = h
        if store.kv:
            store.kv[i][0][..., at], store.kv[i][1][:, :, at] = k, v
    store.used = slot + 1
    return replace(slots, birth_BLC=birth, used=slot + 1)


def delete(slots: Slots, pairs: Iterable[tuple[int, int]]) -> Slots:
    """Remove the memories of these (environment, number)."""
    dead = torch.zeros_like(slots.birth_BLC, dtype=torch.bool)
    for env, number in pairs:
        dead[env] |= slots.birth_BLC[env] == number
    return replace(slots, birth_BLC=slots.birth_BLC.masked_fill(dead, ABSENT))


def rows(slots: Slots, layer: int = 0) -> Rows:
    """What a layer holds, after checking that its tensors tell of the same memories."""
    found = []
    birth_BS, span_BS, h_BSD = slots.layer(layer)
    for env in range(len(birth_BS)):
        here = (birth_BS[env] != ABSENT).nonzero()[:, 0]
        numbers = h_BSD[env, here, 0]
        assert torch.equal(h_BSD[env, here, 1], -numbers)
        assert torch.equal(span_BS[env, here], numbers / 2)
        assert torch.equal(birth_BS[env, here], numbers.long())
        if slots.acts:
            keys, values = slots.store.kv[layer]
            k, v = keys[env, :, 0, here], values[env, :, here, 0]
            assert torch.equal(k, torch.stack([numbers + 10, numbers + 20]))
            assert torch.equal(v, k + 0.5)
        found.append([round(number, 1) for number in numbers.tolist()])
    return found


BRANCH = st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.just("add"), BRANCH, st.integers(1, 20)),
    st.tuples(st.just("delete"), BRANCH, st.sets(st.tuples(st.integers(0, B - 1), st.integers(0, 40)))),
    st.tuples(st.just("pack"), BRANCH, st.sampled_from([0, ROOM])),
    st.tuples(st.just("drop keys"), BRANCH, st.none()),
    st.tuples(st.just("choose rows"), BRANCH, st.sampled_from([slice(None), [0, 1, 2], torch.arange(B)])),
    st.tuples(st.just("fork to"), BRANCH, BRANCH),
)


@given(st.lists(OPERATIONS, max_size=12), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=100)
def test_three_branches_behave_like_lists(operations: list[tuple[str, int, Any]], keys: bool) -> None:
    """Whatever one branch does, the others hold what they held. All begin from one memory."""
    branches: list[tuple[Slots, Rows]] = [(add(empty(keys), 0), [[0], [0.1], [0.2]])] * 3
    number = 1
    for name, branch, argument in operations:
        slots, model = branches[branch]
        if name == "add":
            for _ in range(argument):
                slots, model = add(slots, number), [[*row, number + i / 10] for i, row in enumerate(model)]
                number += 1
        elif name == "delete":
            slots = delete(slots, argument)
            model = [[n for n in row if (i, int(n)) not in argument] for i, row in enumerate(model)]
        elif name == "pack":
            slots = slots.pack(argument)
            assert slots.used == max(map(len, model))
            assert slots.count_BL.tolist() == [[len(row)] * L for row in model]
        elif name == "drop keys":
            slots = slots.without_kv()
        elif name == "choose rows":
            slots = slots.rows(argument)
        branches[argument if name == "fork to" else branch] = (slots, model)
    for slots, model in branches:
        assert rows(slots) == rows(slots, 1) == model
        assert rows(slots.without_kv().trim()) == model
        assert (slots.width_B >= torch.tensor([len(row) for row in model])).all()


def test_successors_share_one_store_and_a_second_branch_gets_its_own() -> None:
    first = add(empty(), 0)
    second = add(first, 1)
    assert second.store is first.store
    other = add(first, 2)
    assert other.store is not first.store
    assert rows(second) == [[0, 1], [0.1, 1.1], [0.2, 1.2]]
    assert rows(other) == [[0, 2], [0.1, 2.1], [0.2, 2.2]]
    assert rows(first) == [[0], [0.1], [0.2]]


def test_capacities_are_few_and_deleted_slots_are_used_again() -> None:
    """1,000 memories, of which the last 10 live: never more than 26 slots, and few stores."""
    slots, stores = empty(), set()
    for number in range(1000):
        slots = delete(add(slots, number), [(env, number - 10) for env in range(B)])
        stores.add(id(slots.store))
        assert slots.capacity <= 10 + 16
    assert rows(slots)[0] == list(range(990, 1000))
    grown, capacities, packings = empty(), set(), 0
    for number in range(1000):
        before, grown = grown.store, add(grown, number)
        packings += grown.store is not before
        capacities.add(grown.capacity)
    assert len(capacities) == packings <= 40, "8 slots more at a time up to 64, then an eighth more"


def test_packing_puts_memories_to_the_right_and_keeps_their_order() -> None:
    slots = empty()
    for number in range(4):
        slots = add(slots, number)
    slots = delete(slots, [(0, 0), (0, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)])
    packed = slots.pack()
    assert packed.layer(0).birth_BS.tolist() == [[ABSENT, 1, 3], [0, 1, 2], [ABSENT] * 3]
    assert rows(packed) == rows(slots) == [[1, 3], [0.1, 1.1, 2.1], []]
    assert packed.capacity == packed.used == 3
    roomy = slots.pack(ROOM)
    assert (roomy.used, roomy.capacity) == (3, 16)


def test_layers_have_slots_of_their_own_number() -> None:
    """A layer that keeps one memory takes one column, beside one that keeps three."""
    one = LayerMemories(torch.tensor([[4]]), torch.ones(1, 1), torch.ones(1, 1, D))
    three = LayerMemories(torch.tensor([[1, ABSENT, 3]]), torch.ones(1, 3), torch.ones(1, 3, D))
    slots = Slots.of([one, three])
    assert [slots.layer(i).birth_BS.tolist() for i in range(2)] == [[[4]], [[1, 3]]]
    assert [h.shape[1] for h in slots.store.h] == [1, 2]
    assert slots.pack(ROOM).layer(0).birth_BS.tolist() == [[ABSENT, 4]], "sizes with room are few"


def test_trim_drops_what_no_row_needs() -> None:
    slots = empty(keys=False)
    for number in range(5):
        slots = add(slots, number)
    slots = delete(slots, [(env, n) for env in (0, 1) for n in range(4)]).pack()
    few = slots.rows([0, 1]).trim()
    assert few.capacity == 1
    assert rows(few) == [[4], [4.1]]
    assert few.width_B.tolist() == [1, 1]


def test_bytes_count_free_slots() -> None:
    """3 rows, 2 layers, 8 slots of a birth, a span, h (2 floats), k and v (2 heads of 1 float each)."""
    assert empty().nbytes == 0
    assert add(empty(), 0).nbytes == B * L * 8 * (8 + 4 + 4 * (2 + 2 + 2))
    assert add(empty(), 0).without_kv().nbytes == B * L * (8 + 4 + 4 * 2)


def test_cat_fills_up_the_narrower() -> None:
    wide = add(add(empty(), 0), 1)
    joined = Slots.cat([wide, add(empty(), 2)])
    assert rows(joined) == [[0, 1], [0.1, 1.1], [0.2, 1.2], [2], [2.1], [2.2]]
    assert joined.layer(0).birth_BS[3].tolist() == [ABSENT, 2]
    assert not joined.acts
    assert rows(joined.rows([3, 4]).trim()) == [[2], [2.1]]


def test_take_columns_of_states_and_of_keys() -> None:
    order = torch.tensor([[2, 0], [1, 1]])
    h, k = torch.randn(2, 3, 5), torch.randn(2, 4, 3, 5)
    assert torch.equal(take_columns(h, order), torch.stack([h[0, [2, 0]], h[1, [1, 1]]]))
    assert torch.equal(take_columns(k, order), torch.stack([k[0][:, [2, 0]], k[1][:, [1, 1]]]))


@pytest.mark.parametrize("room", [0, ROOM])
def test_gradients_pass_through_packing(room: int) -> None:
    h = torch.randn(1, 3, D, requires_grad=True)
    memories = LayerMemories(torch.tensor([[0, ABSENT, 2]]), torch.zeros(1, 3), h)
    slots = Slots.of([memories]).pack(room)
    (grad,) = torch.autograd.grad(slots.layer(0).h_BSD.sum(), h)
    assert grad[0, :, 0].tolist() == [1, 0, 1]
