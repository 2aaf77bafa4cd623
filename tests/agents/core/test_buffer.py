"""Advantages against hand numbers and SB3's; minibatches hold every step once, with its own memory."""

import copy

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from expirespan.agents.core.buffer import MemoryRolloutBuffer, gae, minibatch_sizes
from expirespan.memory import FixedWindow, TransformerMemory
from expirespan.memory.recurrent import RecurrentState

BOX = spaces.Box(-np.inf, np.inf, (1,), np.float32)


def test_gae_by_hand():
    """gamma 0.5, lambda 0.5. One episode of three steps cut after the second, the last step going on."""
    advantages = gae(
        rewards=th.tensor([[1.0, 2.0, 4.0]]),
        values=th.tensor([[8.0, 4.0, 2.0]]),
        episode_starts=th.tensor([[True, False, True]]),
        last_values=th.tensor([6.0]),
        last_dones=th.tensor([False]),
        gamma=0.5,
        gae_lambda=0.5,
    )
    last = 4 + 0.5 * 6 - 2
    second = 2 - 4
    first = 1 + 0.5 * 4 - 8 + 0.25 * second
    assert advantages.tolist() == [[first, second, last]] == [[-5.5, -2.0, 5.0]]


def test_gae_forgets_what_follows_an_end_at_the_last_step():
    row = th.tensor([[1.0, 1.0]])
    ends = gae(row, row, th.zeros(1, 2, dtype=th.bool), th.tensor([100.0]), th.tensor([True]), 1.0, 1.0)
    assert ends.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("gamma, gae_lambda", [(0.99, 0.95), (0.9, 1.0), (1.0, 0.0)])
def test_gae_equals_sb3(gamma, gae_lambda):
    rng = np.random.default_rng(0)
    T, N = 20, 4
    theirs = RolloutBuffer(T, BOX, spaces.Discrete(2), "cpu", gae_lambda, gamma, N)
    ours = MemoryRolloutBuffer(T, BOX, spaces.Discrete(2), "cpu", gae_lambda, gamma, N)
    for _ in range(T):
        reward, start = rng.normal(size=N), rng.random(N) < 0.3
        value, log_prob = th.as_tensor(rng.normal(size=(N, 1))).float(), th.zeros(N)
        obs, action = np.zeros((N, 1), np.float32), np.zeros((N, 1))
        theirs.add(obs, action, reward, start, value, log_prob)
        ours.add(th.as_tensor(obs), th.as_tensor(action), reward, th.as_tensor(start), value, log_prob)
    last, dones = th.as_tensor(rng.normal(size=(N, 1))).float(), rng.random(N) < 0.5
    theirs.compute_returns_and_advantage(last, dones)
    ours.compute_returns_and_advantage(last, dones)
    np.testing.assert_allclose(ours.data["advantage"].numpy(), theirs.advantages.T, atol=1e-5)
    for name in ("advantages", "returns"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5)
    for name in ("observations", "actions", "rewards", "values", "log_probs", "episode_starts"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    with pytest.raises(AttributeError, match="has no attribute 'action'"):
        ours.action  # noqa: B018
    assert copy.deepcopy(ours).rewards.shape == (T, N)


def filled(T: int, N: int, segment_length: int | None) -> MemoryRolloutBuffer:
    """Each tensor holds 100 * environment + step (scaled); the snapshots as well."""
    buffer = MemoryRolloutBuffer(T, BOX, spaces.Discrete(2), "cpu", n_envs=N, segment_length=segment_length)
    for t in range(T):
        code = 100.0 * th.arange(N) + t
        if buffer.wants_snapshot():
            buffer.add_snapshot(RecurrentState(code.view(N, 1, 1)))
        buffer.add(code[:, None], code, 2 * code.numpy(), code % 3 == 0, 3 * code, 4 * code)
    buffer.data["advantage"] = 5 * buffer.obs[..., 0]
    buffer.data["return"] = 6 * buffer.obs[..., 0]
    return buffer


@pytest.mark.parametrize(
    "T, N, segment_length, batch_size",
    [
        (8, 3, None, 8),
        (8, 3, None, None),
        (8, 3, None, 20),
        (8, 3, 2, 6),
        (8, 3, 3, 6),
        (8, 3, 5, 5),
        (8, 1, 1, 4),
        (5, 4, 4, 1),
        (7, 2, 3, 1000),
    ],
)
def test_every_step_comes_once_with_its_own_memory(T, N, segment_length, batch_size):
    buffer = filled(T, N, segment_length)
    length = segment_length or T
    assert len(buffer.snapshots) == -(-T // length)
    for _ in range(2):
        seen, sizes = [], set()
        for batch in buffer.get(batch_size):
            code = batch.observations[..., 0]
            n, size = code.shape
            assert size in (length, T % length)
            assert n == 1 or batch_size is None or n * size <= batch_size
            assert (code == code[:, :1] + th.arange(size)).all(), "consecutive steps of one environment"
            assert (code[:, 0] % 100 % length == 0).all(), "from the start of a segment"
            assert th.equal(batch.state.hidden[:, 0, 0], code[:, 0]), "the memory of that moment"
            assert th.equal(batch.actions[..., 0], code)
            assert th.equal(batch.old_values, 3 * code) and th.equal(batch.old_log_prob, 4 * code)
            assert th.equal(batch.advantages, 5 * code) and th.equal(batch.returns, 6 * code)
            assert th.equal(batch.episode_starts, code % 3 == 0)
            seen += code.flatten().int().tolist()
            sizes.add(code.numel())
        assert sorted(seen) == [100 * i + t for i in range(N) for t in range(T)]
        assert sizes == minibatch_sizes(T, N, length, batch_size or T * N)
    assert buffer.data["reward"][N - 1, T - 1] == 2 * (100 * (N - 1) + T - 1)


def test_the_order_is_random_but_follows_the_seed():
    buffer = filled(8, 4, 2)

    def order(seed):
        th.manual_seed(seed)
        return [batch.observations[:, 0, 0].tolist() for batch in buffer.get(4)]

    assert order(0) == order(0) != order(1)


def test_snapshots_of_a_transformer_hold_no_keys_and_stay_when_acting_goes_on():
    th.manual_seed(0)
    memory = TransformerMemory(8, heads=2, rule=FixedWindow(4))
    state = memory.initial_state(2)
    buffer = MemoryRolloutBuffer(4, BOX, spaces.Discrete(2), "cpu", n_envs=2, segment_length=2)
    kept = []
    for _ in range(4):
        if buffer.wants_snapshot():
            buffer.add_snapshot(state)
            kept.append([layer.h_BSD.clone() for layer in state.layers])
        state = memory.step(th.randn(2, 8), state, th.zeros(2, dtype=th.bool)).state
        zero = th.zeros(2)
        buffer.add(zero[:, None], zero, zero.numpy(), zero.bool(), zero, zero)
    for snapshot, hidden in zip(buffer.snapshots, kept, strict=True):
        assert not snapshot.slots.acts
        assert all(th.equal(layer.h_BSD, h) for layer, h in zip(snapshot.layers, hidden, strict=True))


def test_reset_empties_and_keeps_its_storage():
    buffer = filled(4, 2, 2)
    store = buffer.obs
    buffer.reset()
    assert buffer.pos == 0 and not buffer.full and buffer.snapshots == [] and buffer.obs is store
    assert buffer.wants_snapshot()


def test_minibatch_sizes():
    assert minibatch_sizes(64, 1, 63, 63) == {63, 1}
    assert minibatch_sizes(8, 3, 8, 8) == {8}
    assert minibatch_sizes(8, 3, 4, 8) == {8}
    assert minibatch_sizes(8, 3, 4, 16) == {16, 8}
    assert minibatch_sizes(10, 1, 4, 4) == {4, 2}
    assert minibatch_sizes(10, 2, 4, 4) == {4}, "two short segments fill a minibatch"
