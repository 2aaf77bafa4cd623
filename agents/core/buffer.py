"""Rollout storage for memory agents: tensors on the policy's device, one memory snapshot per segment.

A segment is a run of consecutive steps of one environment. Learning re-reads a segment in one pass from the
memory that stood at its start, so T steps share one prefix, and what is written within it gets gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.preprocessing import get_obs_shape

from expirespan.agents.base.checks import check_count
from expirespan.agents.workers import Part, Workers
from expirespan.memory import MemoryState

Observation = th.Tensor | dict[str, th.Tensor]
_SB3_NAMES = {
    "rewards": "reward",
    "values": "value",
    "log_probs": "log_prob",
    "advantages": "advantage",
    "returns": "return",
}


@dataclass(frozen=True)
class SegmentBatch:
    """Minibatch of n segments of T steps; every tensor begins with (n, T), ``state`` has n rows.

    ``part``: which of the segments of all workers' minibatch they are; None for all.
    """

    observations: Observation
    actions: th.Tensor
    old_values: th.Tensor
    old_log_prob: th.Tensor
    advantages: th.Tensor
    returns: th.Tensor
    episode_starts: th.Tensor
    state: MemoryState
    action_masks: th.Tensor | None = None
    part: Part | None = None

    @property
    def share(self) -> Part:
        """Which part of the minibatch this is."""
        return self.part or Part(len(self.actions))


def gae(
    rewards: th.Tensor,
    values: th.Tensor,
    episode_starts: th.Tensor,
    last_values: th.Tensor,
    last_dones: th.Tensor,
    gamma: float,
    gae_lambda: float,
) -> th.Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438), all (N, T); ``last_`` (N,).

    A_t = d_t + gamma lambda A_{t+1} with d_t = r_t + gamma V_{t+1} - V_t; what has index t + 1 counts as 0
    where step t + 1 starts an episode.
    """
    advantages = th.zeros_like(rewards)
    alive = 1.0 - last_dones.to(rewards.dtype)
    next_value, running = last_values, th.zeros_like(last_values)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value * alive - values[:, t]
        running = delta + gamma * gae_lambda * alive * running
        advantages[:, t] = running
        next_value, alive = values[:, t], 1.0 - episode_starts[:, t].to(rewards.dtype)
    return advantages


class MemoryRolloutBuffer(RolloutBuffer):
    """Rollout of ``n_envs`` environments and ``buffer_size`` steps, all tensors (N, T, ...).

    Takes SB3's arguments and ``segment_length``: steps per memory snapshot, by default the whole rollout.
    """

    def __init__(self, *args: Any, segment_length: int | None = None, **kwargs: Any) -> None:
        if segment_length is not None:
            check_count("segment_length", segment_length)
        self.segment_length = segment_length
        super().__init__(*args, **kwargs)
        self.segment_length = segment_length or self.buffer_size

    def reset(self) -> None:
        """Empty the buffer, keeping its memory allocated."""
        N, T = self.n_envs, self.buffer_size
        if not hasattr(self, "starts"):
            self.obs = _allocate(self.observation_space, N, T, self.device)
            self.acts = th.zeros((N, T, self.action_dim), device=self.device)
            names = ("reward", "value", "log_prob", "advantage", "return")
            self.data = {name: th.zeros((N, T), device=self.device) for name in names}
            self.starts = th.zeros((N, T), dtype=th.bool, device=self.device)
        self.snapshots: list[MemoryState] = []
        self.masks: th.Tensor | None = None
        self.pos, self.full = 0, False

    def wants_snapshot(self) -> bool:
        """Whether the next step begins a segment; then call :meth:`add_snapshot` first."""
        return self.pos % (self.segment_length or self.buffer_size) == 0

    def add_snapshot(self, state: MemoryState) -> None:
        """Keep the memory before the next step."""
        self.snapshots.append(state.without_cache())

    def add(  # type: ignore[override]
        self,
        obs: Observation,
        action: th.Tensor,
        reward: np.ndarray,
        episode_start: th.Tensor,
        value: th.Tensor,
        log_prob: th.Tensor,
        action_masks: th.Tensor | None = None,
    ) -> None:
        """Store one step of every environment."""
        for key, store in _items(self.obs):
            new = obs[key] if isinstance(obs, dict) else obs
            store[:, self.pos] = new.reshape(store[:, self.pos].shape)  # a Discrete one comes as (N,)
        self.acts[:, self.pos] = action.reshape(self.n_envs, self.action_dim)
        self.data["reward"][:, self.pos] = th.as_tensor(reward, dtype=th.float32, device=self.device)
        self.data["value"][:, self.pos] = value.flatten()
        self.data["log_prob"][:, self.pos] = log_prob
        self.starts[:, self.pos] = episode_start
        if action_masks is not None:
            if self.masks is None:  # allowed before any was told
                shape = (self.n_envs, self.buffer_size, action_masks.shape[1])
                self.masks = th.ones(shape, dtype=th.bool, device=self.device)
            self.masks[:, self.pos] = action_masks
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: np.ndarray) -> None:
        """Fill advantages (GAE) and returns (advantage + value)."""
        done = th.as_tensor(dones, device=self.device)
        d = self.data
        d["advantage"] = gae(
            d["reward"], d["value"], self.starts, last_values.flatten(), done, self.gamma, self.gae_lambda
        )
        d["return"] = d["advantage"] + d["value"]

    def __getattr__(self, name: str) -> Any:
        """The rollout under SB3's names, as arrays (T, N, ...) in numpy: copies, for callbacks and logs."""
        stores = self.__dict__.get("data", {})
        if name in _SB3_NAMES and stores:
            return _array(stores[_SB3_NAMES[name]])
        if name in ("observations", "actions", "episode_starts") and stores:
            store = {"observations": self.obs, "actions": self.acts, "episode_starts": self.starts}[name]
            return {k: _array(v) for k, v in store.items()} if isinstance(store, dict) else _array(store)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get(  # type: ignore[override]
        self, batch_size: int | None = None, envs: th.Tensor | None = None
    ) -> Iterator[SegmentBatch]:
        """One pass over the rollout in random order, in minibatches of about ``batch_size`` steps.

        None: all at once, or in two if the last segments are shorter. A minibatch holds whole segments of
        equal length, at least one. ``envs``: numbers of the environments to read, None for all; minibatches
        are smaller in proportion, so that there are as many. Environments are those of all workers, numbered as
        `Workers` says; each worker draws the same minibatches, and gets the segments of its environments.
        """
        assert self.full, "the rollout buffer is read before it is full"
        T, length = self.buffer_size, self.segment_length or self.buffer_size
        total = self.n_envs * Workers.current().size
        envs = th.arange(total) if envs is None else envs
        batch_size = (batch_size or T * total) * len(envs) // total
        batches = []
        for size, first, count in _segments(T, length):
            numbers = th.arange(first, first + count)
            pairs = th.cartesian_prod(numbers, envs).view(-1, 2)
            pairs = pairs[th.randperm(len(pairs))]
            batches += [(size, p) for p in pairs.split(_rows(size, batch_size))]
        for b in th.randperm(len(batches)).tolist():
            yield self._batch(*batches[b])

    def _batch(self, size: int, pairs: th.Tensor) -> SegmentBatch:
        workers = Workers.current()
        pairs = pairs[pairs[:, 0].argsort(stable=True)]  # all of this on the host
        part = workers.part_of(pairs[:, 1])
        segments, envs = pairs[part.rows].unbind(1)
        envs = envs // workers.size
        numbers = segments.numpy()
        parts = [(j, th.from_numpy(np.flatnonzero(numbers == j))) for j in np.unique(numbers).tolist()]
        snapshots = [self.snapshots[j][envs[rows]] for j, rows in parts]
        state = type(snapshots[0]).cat(snapshots) if len(snapshots) > 1 else snapshots[0]
        segments, envs = (x.to(self.device, non_blocking=True) for x in (segments, envs))
        first = segments * (self.segment_length or self.buffer_size)
        steps = first[:, None] + th.arange(size, device=self.device)
        rows = envs[:, None]
        picked = {key: store[rows, steps] for key, store in _items(self.obs)}
        d = {name: store[rows, steps] for name, store in self.data.items()}
        return SegmentBatch(
            observations=picked if isinstance(self.obs, dict) else picked[""],
            actions=self.acts[rows, steps],
            old_values=d["value"],
            old_log_prob=d["log_prob"],
            advantages=d["advantage"],
            returns=d["return"],
            episode_starts=self.starts[rows, steps],
            state=state,
            action_masks=None if self.masks is None else self.masks[rows, steps],
            part=part,
        )


def _segments(T: int, length: int) -> list[tuple[int, int, int]]:
    """Segments of a rollout of T steps, by their size: (size, number of the first, how many)."""
    kinds = [(length, 0, T // length), (T % length, T // length, 1)]
    return [(size, first, count) for size, first, count in kinds if size and count]


def _rows(size: int, batch_size: int) -> int:
    """Segments per minibatch."""
    return max(1, batch_size // size)


def minibatch_sizes(n_steps: int, n_envs: int, segment_length: int, batch_size: int) -> set[int]:
    """Steps in the minibatches of a rollout, the different sizes that occur."""
    sizes = set()
    for size, _, count in _segments(n_steps, segment_length):
        rows = _rows(size, batch_size)
        whole, rest = divmod(count * n_envs, rows)
        sizes |= ({rows * size} if whole else set()) | ({rest * size} if rest else set())
    return sizes


def _allocate(space: spaces.Space[Any], N: int, T: int, device: th.device) -> Observation:
    if isinstance(space, spaces.Dict):
        return {key: _allocate(part, N, T, device) for key, part in space.spaces.items()}  # type: ignore[misc]
    dtype = th.as_tensor(np.zeros(0, space.dtype)).dtype
    return th.zeros((N, T, *get_obs_shape(space)), dtype=dtype, device=device)


def _array(store: th.Tensor) -> np.ndarray:
    """(N, T, ...) -> (T, N, ...)."""
    array: np.ndarray = store.transpose(0, 1).cpu().numpy().copy()
    return array


def _items(obs: Observation) -> list[tuple[str, th.Tensor]]:
    return list(obs.items()) if isinstance(obs, dict) else [("", obs)]
