"""The store of memories against plain Python lists, also when several states grow from one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from expirespan.memory.cache import ABSENT, LayerCache, take_columns

B, D, H = 3, 2, 2
Rows = list[list[float]]
"""Per environment the numbers of its memories, oldest first."""


def tensors(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """h (B, [S,] D), k and v (B, H, [S,] d): all told apart by number, environment and head."""
    h = torch.stack([numbers, -numbers], -1)
    head = torch.tensor([10.0, 20.0]).view(1, H, *[1] * numbers.dim())
    k = numbers[:, None, ..., None] + head
    return h, k, k + 0.5


def empty(keys: bool = True) -> LayerCache:
    """No memories; one key per head and memory."""
    none = torch.zeros(B, 0)
    return LayerCache.of(none.long(), none, *tensors(none)[: 3 if keys else 1])


def add(cache: LayerCache, number: int) -> LayerCache:
    """Append memory ``number`` + environment / 10 to every row."""
    numbers = number + torch.arange(B) / 10
    return cache.append(torch.full((B,), number), numbers / 2, *tensors(numbers)[: len(cache.store.tensors)])


def delete(cache: LayerCache, pairs: Iterable[tuple[int, int]]) -> LayerCache:
    """Mark the memories of these (environment, number) as absent."""
    dead = torch.zeros_like(cache.birth_BS, dtype=torch.bool)
    for env, number in pairs:
        dead[env] |= cache.birth_BS[env] == number
    return LayerCache(cache.birth_BS.masked_fill(dead, ABSENT), cache.span_BS, cache.store)


def rows(cache: LayerCache) -> Rows:
    """What the cache holds, after checking that its tensors tell of the same memories."""
    found = []
    for env in range(cache.birth_BS.shape[0]):
        here = (cache.birth_BS[env] != ABSENT).nonzero()[:, 0]
        numbers = cache.h_BSD[env, here, 0]
        assert torch.equal(cache.h_BSD[env, here, 1], -numbers)
        assert torch.equal(cache.span_BS[env, here], numbers / 2)
        assert torch.equal(cache.birth_BS[env, here], numbers.long())
        if cache.has_keys:
            k, v = (t[env, :, here, 0] for t in cache.kv)
            assert torch.equal(k, torch.stack([numbers + 10, numbers + 20]))
            assert torch.equal(v, k + 0.5)
        found.append([round(number, 1) for number in numbers.tolist()])
    return found


BRANCH = st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.just("add"), BRANCH, st.integers(1, 20)),
    st.tuples(st.just("delete"), BRANCH, st.sets(st.tuples(st.integers(0, B - 1), st.integers(0, 40)))),
    st.tuples(st.just("compact"), BRANCH, st.none()),
    st.tuples(st.just("drop keys"), BRANCH, st.none()),
    st.tuples(st.just("fork to"), BRANCH, BRANCH),
)


@given(st.lists(OPERATIONS, max_size=12), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=100)
def test_three_branches_behave_like_lists(operations: list[tuple[str, int, Any]], keys: bool) -> None:
    """Whatever one branch does, the others hold what they held. All begin from one memory."""
    branches: list[tuple[LayerCache, Rows]] = [(add(empty(keys), 0), [[0], [0.1], [0.2]])] * 3
    number = 1
    for name, branch, argument in operations:
        cache, model = branches[branch]
        if name == "add":
            for _ in range(argument):
                cache, model = add(cache, number), [[*row, number + i / 10] for i, row in enumerate(model)]
                number += 1
        elif name == "delete":
            cache = delete(cache, argument)
            model = [[n for n in row if (i, int(n)) not in argument] for i, row in enumerate(model)]
        elif name == "compact":
            cache = cache.compact()
            assert cache.width == max(map(len, model))
        elif name == "drop keys":
            cache = cache.without_keys()
        branches[argument if name == "fork to" else branch] = (cache, model)
    for cache, model in branches:
        assert rows(cache) == model


def test_successors_share_one_store_and_a_second_branch_gets_its_own() -> None:
    first = add(empty(), 0)
    second = add(first, 1)
    assert second.store is first.store
    other = add(first, 2)
    assert other.store is not first.store
    assert rows(second) == [[0, 1], [0.1, 1.1], [0.2, 1.2]]
    assert rows(other) == [[0, 2], [0.1, 2.1], [0.2, 2.2]]
    assert rows(first) == [[0], [0.1], [0.2]]


def test_a_cache_without_keys_has_a_store_of_its_own() -> None:
    """Both continue at the same column."""
    cache = add(empty(), 0)
    bare = cache.without_keys()
    longer, longer_bare = add(cache, 1), add(bare, 2)
    assert rows(longer) == [[0, 1], [0.1, 1.1], [0.2, 1.2]]
    assert rows(longer_bare) == [[0, 2], [0.1, 2.1], [0.2, 2.2]]
    assert not bare.has_keys


def test_growth_is_amortised_and_deleted_columns_are_used_again() -> None:
    """1,000 memories, of which the last 10 live: never more than 26 columns, and few stores."""
    cache, stores = empty(), set()
    for number in range(1000):
        cache = delete(add(cache, number), [(env, number - 10) for env in range(B)])
        stores.add(id(cache.store))
        assert cache.store.capacity <= 10 + 16
    assert rows(cache)[0] == list(range(990, 1000))
    grown = empty()
    copies, store = 0, grown.store
    for number in range(1000):
        grown = add(grown, number)
        copies += grown.store is not store
        store = grown.store
    assert copies <= 22, "16 columns more at a time up to 64, then a quarter more"


def test_compact_packs_to_the_left_and_keeps_the_order() -> None:
    cache = empty()
    for number in range(4):
        cache = add(cache, number)
    cache = delete(cache, [(0, 0), (0, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)])
    packed = cache.compact()
    assert packed.birth_BS.tolist() == [[1, 3, ABSENT], [0, 1, 2], [ABSENT] * 3]
    assert rows(packed) == rows(cache) == [[1, 3], [0.1, 1.1, 2.1], []]
    assert packed.store.capacity == 3
    assert packed.compact() is packed


def test_bytes_count_spare_columns() -> None:
    """3 rows: one birth and span, and 16 columns of h (2 floats), k and v (2 heads of 1 float each)."""
    assert empty().nbytes == 0
    assert add(empty(), 0).nbytes == B * (16 * 4 * (2 + 2 + 2) + 8 + 4)
    assert add(empty(), 0).without_keys().nbytes == B * (4 * 2 + 8 + 4)


@pytest.mark.parametrize("bare", [(), (0,), (1,), (0, 1)])
def test_cat_fills_up_the_narrower(bare: tuple[int, ...]) -> None:
    """Keys are kept only when all have them."""
    wide = add(add(empty(), 0), 1)
    caches = [wide, add(empty(), 2)]
    caches = [cache.without_keys() if i in bare else cache for i, cache in enumerate(caches)]
    joined = LayerCache.cat(caches)
    assert rows(joined) == [[0, 1], [0.1, 1.1], [0.2, 1.2], [2], [2.1], [2.2]]
    assert joined.birth_BS[3].tolist() == [2, ABSENT]
    assert joined.has_keys == (not bare)


def test_take_columns_of_states_and_of_keys() -> None:
    order = torch.tensor([[2, 0], [1, 1]])
    h, k = torch.randn(2, 3, 5), torch.randn(2, 4, 3, 5)
    assert torch.equal(take_columns(h, order), torch.stack([h[0, [2, 0]], h[1, [1, 1]]]))
    assert torch.equal(take_columns(k, order), torch.stack([k[0][:, [2, 0]], k[1][:, [1, 1]]]))


def test_gradients_pass_through_compact() -> None:
    h = torch.randn(1, 3, D, requires_grad=True)
    cache = LayerCache.of(torch.tensor([[0, ABSENT, 2]]), torch.zeros(1, 3), h).compact()
    (grad,) = torch.autograd.grad(cache.h_BSD.sum(), h)
    assert grad[0, :, 0].tolist() == [1, 0, 1]
