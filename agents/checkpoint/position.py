"""Position of a run between an update and the next rollout: all that its future depends on beside the weights."""

from __future__ import annotations

import random
import warnings
from collections import deque
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from expirespan.agents.base.checks import check_state, signature
from expirespan.agents.base.histogram import Histogram
from expirespan.agents.checkpoint.archive import Content
from expirespan.agents.checkpoint.env_state import NoStateError, get_env_state, set_env_state
from expirespan.agents.checkpoint.statistics import hidden_statistics, statistics_of
from expirespan.agents.workers import Workers
from expirespan.memory import MemoryState
from expirespan.quoting import shown

Position = dict[str, Any]
"""Values by name: those of `MOVING`, and ``memory``, ``random``, ``envs``, ``statistics``, ``log``."""

MOVING = (
    "num_timesteps",
    "_episode_num",
    "_last_obs",
    "_last_original_obs",
    "_last_episode_starts",
    "ep_info_buffer",
    "ep_success_buffer",
    "_scores",
    "_full_scores",
    "_last_masks",
)
"""Attributes that acting changes."""
LATER = ("_full_scores", "_last_masks")
"""Those that files of earlier versions lack; they begin anew."""


class MovingAlgorithm(OnPolicyAlgorithm):
    """What a position reads from an agent and writes to it, beside SB3's attributes, and where a run goes on."""

    _memory_state: MemoryState | None = None
    _pending_log: dict[str, Any] | None = None
    _rollout_start: Position | None = None
    _hidden = False
    _hidden_of: tuple[Any, bool] | None = None

    @property
    def workers(self) -> Workers:
        """Those that train it; a single one unless this process has joined others."""
        return Workers.current()

    @property
    def all_envs(self) -> int:
        """How many environments all workers have."""
        return self.n_envs * self.workers.size

    def set_random_seed(self, seed: int | None = None) -> None:
        """As in SB3; environment i of those of all workers is seeded ``seed + i``."""
        super().set_random_seed(seed)
        if seed is not None and self.env is not None and self.workers.size > 1:
            seed_envs(self.env, seed, self.workers)

    @property
    def resumable_timesteps(self) -> int:
        """Environment steps at which a run that is saved now and resumed goes on: those at the last update."""
        return (
            self.num_timesteps if self._rollout_start is None else int(self._rollout_start["num_timesteps"])
        )

    @property
    def within_rollout(self) -> bool:
        """Whether a rollout has begun and no update has followed: saved now, a run goes on at its start."""
        return self._rollout_start is not None

    def forget_pending_log(self) -> None:
        """Drop what a loaded file says was recorded and not yet written to the logs: it has been since."""
        self._pending_log = None

    def _has_hidden_statistics(self) -> bool:
        """See `hidden_statistics`. Each environment is asked once, before it acts: dead processes cannot answer."""
        if self.env is None:
            return self._hidden
        if self._hidden_of is None or self._hidden_of[0] is not self.env:
            self._hidden_of = self.env, hidden_statistics(self.env)
        return self._hidden_of[1]

    @property
    def actor(self) -> Any:
        """The policy, with the methods of one that has a memory."""
        raise NotImplementedError


def seed_envs(env: VecEnv, seed: int, workers: Workers) -> None:
    """Seed a worker's environments by their numbers among those of all."""
    env.seed(seed)
    if workers.size > 1:
        env.unwrapped._seeds = [seed + i for i in workers.own(env.num_envs * workers.size)]


def position_of(agent: MovingAlgorithm) -> Position:
    """Where the run stands now; copies."""
    position = {name: _copy(getattr(agent, name, None)) for name in MOVING}
    try:
        envs = None if agent.env is None else get_env_state(agent.env)
    except NoStateError:
        envs = None
    return position | {
        "memory": agent._memory_state,
        "random": random_state(agent.device),
        "envs": envs,
        "statistics": [] if agent.env is None else statistics_of(agent.env),
        "log": _pending(agent),
    }


def go_to(agent: MovingAlgorithm, position: Position) -> None:
    """Put an agent, whose weights are in place, and its environments where the run stood.

    Environments that cannot be restored begin new episodes, with other seeds than at the start of the run; it
    warns of that. Sets the random numbers of the whole process: python's, numpy's and torch's.

    Raises:
        ValueError: the position is that of another number of environments, or of another memory.
    """
    _check(agent, position)
    for name in MOVING:
        if name not in LATER or name in position:
            setattr(agent, name, position[name])
    memory, starts = position["memory"], position["_last_episode_starts"]
    saved = len(starts) if starts is not None else getattr(memory, "batch_size", agent.n_envs)
    if saved != agent.n_envs:
        raise ValueError(
            f"the run had {saved} environments, and the one given has {agent.n_envs}: to go on exactly it takes "
            "as many; without resume=True the agent begins new episodes in any number"
        )
    if memory is not None:
        expected = signature(agent.actor.initial_state(1))
        agent._memory_state = check_state(memory, expected, agent.n_envs).to(agent.device)
    agent._pending_log = position["log"]
    try:
        assert agent.env is not None
        if position["envs"] is None:
            raise NoStateError("the file has no state of environments, which could not tell it")
        set_env_state(agent.env, position["envs"])
    except NoStateError as error:
        warnings.warn(
            f"the environments cannot go on where they were ({error}), so new episodes begin; all else is as it was",
            stacklevel=4,
        )
        agent._last_obs = None
        if agent.seed is not None:
            seed_envs(agent.env, agent.seed + agent.num_timesteps, agent.workers)  # type: ignore[arg-type]
    set_random_state(position["random"])


def in_file(content: Content | None, env: Any, given: dict[str, Any]) -> Position:
    """The saved position, for ``resume``."""
    if env is None:
        raise ValueError("resume=True takes the environments to go on in; pass env")
    position: Position = {} if content is None else content.decode("position", given)
    needed = [*MOVING, "memory", "random", "envs", "log"]
    missing = [name for name in needed if name not in position and name not in LATER]
    if missing:
        raise ValueError(
            f"resume=True needs the run's position, and the file lacks {', '.join(missing[:3])}: it was excluded, "
            "could not be stored, or an old version saved it; load without resume to begin new episodes"
        )
    return position


def _check(agent: MovingAlgorithm, position: Position) -> None:
    """Raise ValueError if counts or arrays are not of the kinds and shapes that acting goes on from."""
    for name in ("num_timesteps", "_episode_num"):
        value = position[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} is {shown(value, 60)} in the position, expected a whole number >= 0")
    starts, seen = position["_last_episode_starts"], position["_last_obs"]
    if starts is not None and (not isinstance(starts, np.ndarray) or starts.ndim != 1):
        raise ValueError(f"_last_episode_starts is {shown(starts, 60)}, expected a flag for each environment")
    if seen is None or starts is None:
        return
    expected = agent.observation_space
    parts = expected.spaces if isinstance(expected, spaces.Dict) else {"": expected}
    given = seen if isinstance(expected, spaces.Dict) and isinstance(seen, dict) else {"": seen}
    for key, space in parts.items():
        shape = (len(starts), *(space.shape or ()))
        found = getattr(given.get(key), "shape", None)
        if found != shape:
            raise ValueError(f"_last_obs {key} has shape {found} in the position, expected {shape}")


def random_state(device: th.device) -> dict[str, Any]:
    """State of the random numbers of python, numpy and torch, and of the GPUs if the agent is on one."""
    version, words, gauss = random.getstate()
    return {
        "python": (version, np.array(words, np.uint32), gauss),
        "numpy": np.random.get_state(legacy=False),
        "torch": th.get_rng_state(),
        "cuda": th.cuda.get_rng_state_all() if device.type == "cuda" else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned; GPUs are left out where their number differs."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    np.random.set_state(state["numpy"])
    th.set_rng_state(state["torch"])
    if state["cuda"] and th.cuda.is_available() and th.cuda.device_count() == len(state["cuda"]):
        th.cuda.set_rng_state_all(state["cuda"])


def _pending(agent: MovingAlgorithm) -> dict[str, Any] | None:
    """What has been recorded since the logger last wrote, as far as it is data."""
    logger = getattr(agent, "_logger", None)
    if logger is None:
        return None
    values = {
        key: value
        for key, value in logger.name_to_value.items()
        if isinstance(value, (int, float, str, np.number, Histogram))
    }
    counts = {key: logger.name_to_count[key] for key in values if key in logger.name_to_count}
    excluded = {key: logger.name_to_excluded[key] for key in values if key in logger.name_to_excluded}
    return {"values": values, "counts": counts, "excluded": excluded}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return value.copy() if isinstance(value, (np.ndarray, deque)) else value
