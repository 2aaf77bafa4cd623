"""Playing whole episodes with one player in many environments."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from expirespan.agents import Workers, allowed_action, vector_action_masks
from expirespan.envs import ORACLES
from expirespan.experiments.episodes.cue_retention import CueMeter
from expirespan.experiments.episodes.played import Episode, Episodes, Played, joined
from expirespan.experiments.making.agents import Agent, memory_policy, ramps
from expirespan.experiments.making.envs import VectorEnvs, lent_envs
from expirespan.experiments.settings import Env
from expirespan.experiments.settings.errors import UserError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Stop = Callable[[], bool]
"""Asked at every step whether to play on."""


class PlayingStopped(Exception):  # noqa: N818  (no error: somebody asked for it)
    """Episodes were not played to the end, because ``stop`` said so."""


def never() -> bool:
    """Not to stop."""
    return False


class Player(Protocol):
    """Acts in every environment."""

    def act(
        self, observations: Any, starts: Flags, playing: Flags, masks: Flags | None = None
    ) -> tuple[npt.NDArray[Any], Floats]:
        """Actions for all environments, and memories alive (layers, environments).

        ``masks``: what each environment allows, None for everything. ``starts``: an episode begins; ``playing``: the
        others' actions do not matter. Environments once not ``playing`` never play again.
        """
        ...


class PolicyPlayer:
    """An agent that takes its most likely actions, or draws them if not ``deterministic``."""

    def __init__(self, agent: Agent, num_envs: int, deterministic: bool = True) -> None:
        self.agent, self.deterministic = agent, deterministic
        self.policy = memory_policy(agent)
        self.state = self.policy.initial_state(num_envs)
        self._ramps = ramps(agent)
        self._rows = np.arange(num_envs)
        space = batch_space(agent.action_space, num_envs)
        space.seed(0)
        self._actions = np.asarray(space.sample())  # those of environments that do not play any more
        self._survivors: tuple[npt.NDArray[Any], list[torch.Tensor]] = self._rows, []
        self._before = self._survivors
        self.lives = np.zeros(num_envs)
        """Steps for which what each environment has just seen can be read, in the layer that keeps it longest."""

    def act(
        self, observations: Any, starts: Flags, playing: Flags, masks: Flags | None = None
    ) -> tuple[npt.NDArray[Any], Floats]:
        """See `Player`; environments that do not play any more cost nothing."""
        if playing.sum() < len(self._rows):
            stay = playing[self._rows]
            self.state = self.state[torch.as_tensor(np.flatnonzero(stay), device=self.agent.device)]
            self._rows = self._rows[stay]
        rows = self._rows
        chosen = select(observations, rows)
        with torch.no_grad():
            out = self.policy.step(
                self.policy.obs_to_tensor(chosen)[0],
                self.state,
                torch.as_tensor(starts[rows], device=self.agent.device),
                deterministic=self.deterministic,
                action_masks=None
                if masks is None
                else torch.as_tensor(masks[rows], device=self.agent.device),
            )
        self.state = out.state
        self._before, self._survivors = self._survivors, (rows, out.trace.births)
        if out.trace.spans:
            spans = out.trace.told_spans()
            lives = [span[:, 0] + ramp for span, ramp in zip(spans, self._ramps, strict=True)]
            self.lives[rows] = torch.stack(lives).amax(0).cpu().numpy()
        self._actions[rows] = self.policy.to_env(out.actions.cpu().numpy())
        alive = np.zeros((len(out.trace.alive), len(starts)))
        for layer, count in enumerate(out.trace.alive):
            alive[layer, rows] = count[:, 0].cpu().numpy()
        return self._actions, alive

    def remembered(self, i: int) -> list[npt.NDArray[Any]]:
        """Per layer, the timesteps whose memories the last action of environment i could read beside its own.

        At the first step of an episode they are those of the episode before.
        """
        rows, births = self._before
        row = int(np.searchsorted(rows, i))
        return [layer[row].cpu().numpy() for layer in births]


def has_oracle(env: Env) -> bool:
    """Whether the best policy is known and can read what this environment shows."""
    return env.gym_id in ORACLES and not env.wrappers and bool(env.parameters.get("show_room", True))


class OraclePlayer:
    """The oracle of an environment."""

    def __init__(self, env: Env, num_envs: int) -> None:
        if not has_oracle(env):
            raise UserError(f"{env.gym_id} has no oracle that reads what it shows with these settings")
        self._oracle = ORACLES[env.gym_id](num_envs)
        self._stacked = env.frame_stack > 1

    def act(
        self, observations: Any, starts: Flags, playing: Flags, masks: Flags | None = None
    ) -> tuple[npt.NDArray[Any], Floats]:
        """See `Player`."""
        newest = observations[:, -1] if self._stacked else observations  # all that an oracle needs
        return self._oracle.act(newest, starts), np.zeros((0, len(starts)))


class RandomPlayer:
    """Every action with the same chance."""

    def __init__(self, space: spaces.Space[Any], num_envs: int, seed: int) -> None:
        self._one, self._space = space, batch_space(space, num_envs)
        self._space.seed(seed)
        self._one.seed(seed)

    def act(
        self, observations: Any, starts: Flags, playing: Flags, masks: Flags | None = None
    ) -> tuple[npt.NDArray[Any], Floats]:
        """See `Player`."""
        none = np.zeros((0, len(starts)))
        if masks is None:
            return np.asarray(self._space.sample()), none
        return np.stack([allowed_action(self._one, mask) for mask in masks]), none


def play(
    player: Player,
    env: Env,
    episodes: int,
    num_envs: int,
    seed: int,
    max_steps: int | None = None,
    stop: Stop = never,
    workers: Workers | None = None,
) -> Episodes:
    """Play ``episodes`` from the start to the end; environment i is seeded ``seed + i``.

    ``workers``: who share out the environments; each has a player for its own, and all return the same.

    How many episodes each environment plays is fixed beforehand. Taking those that end first would prefer
    short ones. An episode is cut off after ``max_steps``, and its environment then plays no more of them.

    Raises:
        PlayingStopped: ``stop`` said so.
        UserError: the environment failed.
    """
    workers = workers or Workers()
    own = workers.own(num_envs)
    quota = (episodes // num_envs + (np.arange(num_envs) < episodes % num_envs))[own]
    seeds = seed if workers.size == 1 else [seed + i for i in own]
    limit = math.inf if max_steps is None else max_steps

    def mine() -> Played | Literal["stopped"] | None:
        if not own:
            return None
        try:
            with lent_envs(env, len(own)) as envs:
                return _play(player, envs, own, quota, seeds, limit, stop)
        except PlayingStopped:
            return "stopped"

    parts = workers.together(mine)
    if "stopped" in parts:
        raise PlayingStopped
    return joined([part for part in parts if isinstance(part, Played)])


def _play(
    player: Player,
    envs: VectorEnvs,
    numbers: Sequence[int],
    quota: npt.NDArray[np.int64],
    seed: Any,
    max_steps: float,
    stop: Stop,
) -> Played:
    num_envs = envs.num_envs
    playing, starts = quota > 0, np.ones(num_envs, dtype=bool)
    returns, steps, alive_sum = np.zeros(num_envs), np.zeros(num_envs), np.zeros((0, num_envs))
    ended: list[Episode] = []
    times: list[tuple[float, int]] = []
    first_end = 0
    meter = CueMeter(num_envs)
    begin = time.perf_counter()
    observations, infos = envs.reset(seed=seed)
    while playing.any():
        if stop():
            raise PlayingStopped
        cue, before = _cues(infos, num_envs), time.perf_counter()
        actions, alive = player.act(observations, starts, playing, vector_action_masks(envs, infos))
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        times.append((time.perf_counter() - before, int(playing.sum())))
        if isinstance(player, PolicyPlayer) and len(alive):
            meter.step(cue, player.lives, starts, playing)
        if len(alive_sum) != len(alive):
            alive_sum = np.zeros_like(alive)
        returns, steps, alive_sum = returns + rewards, steps + 1, alive_sum + alive
        starts = terminated | truncated
        cut = ~starts & (steps >= max_steps)
        for i in np.flatnonzero((starts | cut) & playing).tolist():
            final = {} if cut[i] else infos.get("final_info", {})
            facts = _fact(final, "is_success", i), _fact(final, "length", i)
            decided = None
            if isinstance(player, PolicyPlayer) and len(alive):
                decided = meter.end(i, player.remembered(i))
            memories = alive_sum[:, i] / steps[i], alive[:, i].copy()
            ended.append(
                Episode(len(times), numbers[i], returns[i], steps[i], *facts, not cut[i], *memories, decided)
            )
            quota[i] = 0 if cut[i] else quota[i] - 1
            first_end = first_end or len(times)
        returns[starts], steps[starts], alive_sum[:, starts] = 0, 0, 0
        playing = quota > 0
    return Played(ended, times, first_end, time.perf_counter() - begin, *meter.observations())


def select(observations: Any, rows: Any) -> Any:
    """Those of some environments, of an array or of a Dict's arrays."""
    if isinstance(observations, Mapping):
        return {name: part[rows] for name, part in observations.items()}
    return observations[rows]


def _cues(infos: Mapping[str, Any], num_envs: int) -> Flags:
    """(N,): the observations show what must be remembered; none if the environment does not report it."""
    cue = np.asarray(infos.get("cue", np.zeros(num_envs, bool)), bool)
    told: Flags = np.asarray(infos.get("_cue", np.ones(num_envs, bool)), bool)
    return cue & told


def _fact(final: Mapping[str, Any], key: str, i: int) -> float:
    """The value that environment i reported at the end of an episode, nan if none."""
    told = final.get(f"_{key}")
    return float(final[key][i]) if key in final and (told is None or told[i]) else float("nan")
