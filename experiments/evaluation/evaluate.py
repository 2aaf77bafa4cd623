"""Evaluation of an agent: scores of fresh episodes, beside those of chance and of the oracle."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from expirespan.agents import Workers
from expirespan.experiments.episodes.cue_retention import Retention
from expirespan.experiments.episodes.played import Episodes
from expirespan.experiments.episodes.playing import (
    Flags,
    OraclePlayer,
    Player,
    PolicyPlayer,
    RandomPlayer,
    Stop,
    has_oracle,
    never,
    play,
)
from expirespan.experiments.evaluation.stats import Interval, mean_interval, wilson
from expirespan.experiments.making.agents import Agent, max_spans, memory_policy, rules
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.settings import Env

LONG = 0.95
"""Episodes of at least this fraction of the longest length count as the longest."""

TIMED_STEPS = (500, 9000)
"""Timesteps around which the time per step is reported."""


@dataclass(frozen=True)
class Bucket:
    """Success among the episodes with lengths of ``low`` to ``high`` cells, both included."""

    low: int
    high: int
    episodes: int
    success: float | None
    interval: Interval


@dataclass(frozen=True)
class StepTime:
    """Median milliseconds that one step of ``envs`` environments takes around timestep ``step``."""

    step: int
    milliseconds: float
    envs: int


@dataclass(frozen=True)
class Score:
    """What one player reached.

    ``success`` (with Wilson's 95% ``interval``) and lengths are None where the environment does not report them.
    ``return_interval``: Student's 95% interval of ``mean_return`` over episodes, None for a single one.
    ``alive``: memories alive per layer, mean over episodes of their mean; ``alive_at_end``: at the last step
    of the longest episodes (`LONG`), None without any. ``retention``: of cues, where the environment marks them.
    ``not_ended``: episodes cut off at the limit of steps; they count with the return so far and as no success.
    """

    episodes: int
    success: float | None
    interval: Interval | None
    mean_return: float
    mean_steps: float
    alive: list[float]
    alive_at_end: list[float] | None
    longest_success: float | None
    by_length: list[Bucket]
    steps_per_second: float
    step_times: list[StepTime] = field(default_factory=list)
    retention: Retention | None = None
    return_interval: Interval | None = None
    not_ended: int = 0


@dataclass(frozen=True)
class EvaluationResult:
    """Scores on the same episodes of the agent, of random actions, and of the oracle where there is one.

    ``deterministic``: whether the agent took its most likely actions. ``stretch``: how many times as long as in
    training each layer's long spans were, if only they were raised.
    """

    env: str
    settings: dict[str, Any]
    seed: int
    trained_steps: int
    max_span: list[float | None]
    agent: Score
    random: Score
    oracle: Score | None
    memory: str = ""
    deterministic: bool = True
    stretch: list[float] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=provenance)

    def to_json(self) -> str:
        """Everything, as JSON text."""
        return json.dumps(asdict(self), indent=2)


def score(
    player: Player,
    env: Env,
    episodes: int,
    num_envs: int,
    seed: int,
    max_steps: int | None = None,
    stop: Stop = never,
    workers: Workers | None = None,
) -> Score:
    """Play episodes and summarise them; arguments as of `play`."""
    return summarise(
        play(player, env, episodes, min(num_envs, episodes), seed, max_steps, stop, workers), env
    )


def evaluate(
    agent: Agent,
    env: Env,
    episodes: int,
    num_envs: int,
    seed: int,
    deterministic: bool = True,
    max_steps: int | None = None,
) -> EvaluationResult:
    """Score an agent that takes its most likely actions, or draws them, and on the same episodes chance and oracle.

    ``max_steps``: after so many an episode is cut off.
    """
    num_envs = min(num_envs, episodes)
    training = agent.policy.training
    agent.policy.set_training_mode(False)
    ours = score(PolicyPlayer(agent, num_envs, deterministic), env, episodes, num_envs, seed, max_steps)
    agent.policy.set_training_mode(training)
    chance = score(RandomPlayer(agent.action_space, num_envs, seed), env, episodes, num_envs, seed, max_steps)
    best = OraclePlayer(env, num_envs) if has_oracle(env) else None
    return EvaluationResult(
        env=env.gym_id,
        settings=env.played,
        seed=seed,
        trained_steps=agent.num_timesteps,
        max_span=max_spans(agent),
        stretch=[rule.stretch for rule in rules(agent)],
        memory=memory_policy(agent).memory_name,
        deterministic=deterministic,
        agent=ours,
        random=chance,
        oracle=score(best, env, episodes, num_envs, seed, max_steps) if best else None,
    )


def summarise(episodes: Episodes, env: Env) -> Score:
    """Scores of episodes played in ``env``."""
    told = ~np.isnan(episodes.success)
    success = episodes.success[told] > 0.5
    size = np.where(np.isnan(episodes.length), episodes.steps, episodes.length)
    known = ~np.isnan(episodes.length)
    longest = size >= LONG * (getattr(env, "max_length", size.max()) if known.any() else size.max())
    return Score(
        episodes=len(episodes.steps),
        success=float(success.mean()) if told.any() else None,
        interval=wilson(int(success.sum()), len(success)) if told.any() else None,
        mean_return=float(episodes.returns.mean()),
        mean_steps=float(episodes.steps.mean()),
        alive=episodes.alive.mean(1).tolist(),
        alive_at_end=episodes.alive_at_end[:, longest].mean(1).tolist() if longest.any() else None,
        longest_success=float(episodes.success[longest & told].mean()) if (longest & told).any() else None,
        by_length=list(_buckets(episodes, known & told)),
        steps_per_second=float(episodes.steps.sum() / episodes.seconds),
        step_times=list(_step_times(episodes)),
        retention=episodes.retention,
        return_interval=mean_interval(episodes.returns.tolist()) if len(episodes.returns) > 1 else None,
        not_ended=int((~episodes.ended).sum()),
    )


def _buckets(episodes: Episodes, counted: Flags, most: int = 5) -> Iterator[Bucket]:
    """Up to five ranges of length, equally wide, that cover all episodes."""
    if not counted.any():
        return
    length = episodes.length[counted].astype(int)
    success = episodes.success[counted] > 0.5
    edges = np.unique(np.linspace(length.min(), length.max() + 1, most + 1).round().astype(int)).tolist()
    for first, after in itertools.pairwise(edges):
        here = (first <= length) & (length < after)
        good, total = int(success[here].sum()), int(here.sum())
        yield Bucket(first, after - 1, total, good / total if total else None, wilson(good, total))


def _step_times(episodes: Episodes, around: int = 50) -> Iterator[StepTime]:
    """Times while every environment is still in its first episode, so that its timestep is that of all."""
    for step in TIMED_STEPS:
        if step + around < min(episodes.first_end, len(episodes.step_seconds)):
            window = slice(step - around, step + around)
            envs = int(episodes.step_envs[step])
            yield StepTime(step, float(np.median(episodes.step_seconds[window])) * 1000, envs)
