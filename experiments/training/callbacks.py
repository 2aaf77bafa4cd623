"""Callback of training: evaluation, checkpoints, and the decision to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from stable_baselines3.common.callbacks import BaseCallback

from expirespan.agents import Workers
from expirespan.experiments.episodes.playing import PlayingStopped, PolicyPlayer
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.evaluation.evaluate import Score, score
from expirespan.experiments.making.agents import Agent
from expirespan.experiments.settings import Config
from expirespan.experiments.tracking.log_files import STEP
from expirespan.experiments.training.following import Following
from expirespan.experiments.training.progress import EvaluationTable
from expirespan.experiments.training.session import Session
from expirespan.experiments.training.target import is_over, met_in_a_row, rank, reached_at
from expirespan.experiments.viewer.episode_media import log_episode

ROW_STEPS = 8192
"""About as many environment steps lie between two rows of the log."""


class TrainingCallback(BaseCallback):
    """Saves the agent and evaluates it at intervals, between an update and the next rollout.

    A resumed run goes on with the intervals, the best and the target held so far, by the evaluations in its run; it
    begins with the evaluation that its checkpoint was saved for, if that was not completed.

    Learning stops when the target is reached and held for as long as asked, or soon after the session's signal asks
    for it. Evaluation has its own environments and seeds and takes no random number, so that training is the same
    with and without it.
    """

    model: Agent

    def __init__(self, config: Config, session: Session | Following) -> None:
        super().__init__()
        self.config, self.session, self.workers = config, session, Workers.current()
        self.signal = session.signal
        self.score: Score | None = None
        self.trace: EpisodeTrace | None = None
        self._table = EvaluationTable(config.target)
        before = session.entries
        self._best = max((rank(entry, config.target) for entry in before), default=None)
        self.reached_at = reached_at(before, config.target)
        self._ended = False
        self._updates = -1  # when last evaluated
        self._last = before[-1]["step"] if before else 0
        self._schedule(self._last)

    def _on_training_start(self) -> None:
        if self._last == self.num_timesteps > 0:
            self._updates = self.model._n_updates

    def is_complete(self, agent: Agent) -> bool:
        """Whether nothing is left to do: training has ended, and its last agent is evaluated."""
        steps = agent.resumable_timesteps
        ended = steps >= self.config.total_timesteps or is_over(steps, self.reached_at, self.config.target)
        return ended and self.session.is_complete(steps)

    def _on_rollout_start(self) -> None:
        if self.workers.any(self.signal.requested):
            return
        if self.num_timesteps >= self._next or (self._over() and self.model._n_updates != self._updates):
            self.evaluate()
            self._schedule(self.num_timesteps)
        self._ended = self._over()
        self.session.note()

    def _on_rollout_end(self) -> None:
        config = self.config
        rollout = config.algorithm.n_steps * config.num_envs
        interval = max(1, min(ROW_STEPS, config.evaluation.every) // rollout)
        rollouts = self.num_timesteps // rollout  # not those since the run was resumed, which SB3 counts
        if rollouts % interval == 0:
            self.model.dump_logs(rollouts)

    def _on_step(self) -> bool:
        return not (self._ended or self.signal.requested)

    def _over(self) -> bool:
        """Whether the target was reached, and so long ago as asked."""
        return is_over(self.num_timesteps, self.reached_at, self.config.target)

    def _on_training_end(self) -> None:
        if not self.workers.any(self.signal.requested) and self.model._n_updates != self._updates:
            self.evaluate()

    def _schedule(self, last: int) -> None:
        every = self.config.evaluation.every
        self._next = (last // every + 1) * every

    def evaluate(self) -> None:
        """Save, evaluate, log, and judge whether the target is held.

        Whoever is stopped in between does all of it again when resumed. Workers share out the episodes of the score;
        the first one records, saves and logs.
        """
        config, model, step = self.config, self.model, self.num_timesteps
        model.policy.set_training_mode(False)
        checkpoint = self.session.save(model.collected())
        try:
            found = evaluation_score(model, config, self._is_asked)
        except PlayingStopped:
            return
        if not all(self.workers.together(self._record)):
            return
        self.score, self._updates = found, model._n_updates
        if self.trace is not None:
            self.session.keep(self.trace, step)
        self._log(found)
        entry = {"step": step, **asdict(found)}
        if self._best is None or rank(entry, config.target) >= self._best:
            self._best = rank(entry, config.target)
            self.session.take_as_best(checkpoint)
        self.session.add_evaluation(entry)
        self.session.complete(model)
        entries = self.session.entries
        self.reached_at = reached_at(entries, config.target)
        if self.workers.lead:
            self._table.add(step, found, met_in_a_row(entries, config.target))

    def _record(self) -> bool:
        """Record an episode, if this is the first worker; False if it was stopped."""
        if not self.workers.lead:
            return True
        chosen = self.config.evaluation
        try:
            self.trace = record_episode(
                self.model,
                self.config.eval_env.longest(),
                chosen.seed,
                self.config.recipe,
                what_if=chosen.what_if,
                max_steps=chosen.step_limit,
                stop=self._is_asked,
            )
        except PlayingStopped:
            return False
        return True

    def _is_asked(self) -> bool:
        return self.signal.requested

    def _log(self, score: Score) -> None:
        values = {
            "success_rate": score.success,
            "longest_success_rate": score.longest_success,
            "mean_return": score.mean_return,
            "mean_steps": score.mean_steps,
            "not_ended": score.not_ended,
            **{f"layer{i}/alive": alive for i, alive in enumerate(score.alive)},
            **{f"layer{i}/alive_at_end": alive for i, alive in enumerate(score.alive_at_end or [])},
            **{f"retention_{k}": v for k, v in (asdict(score.retention) if score.retention else {}).items()},
        }
        for key, value in values.items():
            if value is not None:
                self.logger.record(f"eval/{key}", value)
        if self.trace is not None:
            films = self.config.wandb != "off"
            log_episode(self.logger, self.trace, image_of(self.config.eval_env), films)
        self.logger.record(STEP, self.num_timesteps)
        self.logger.dump(self.num_timesteps)


def evaluation_score(agent: Agent, config: Config, stop: Callable[[], bool]) -> Score:
    """The evaluation that the settings ask for; raises `PlayingStopped` if ``stop`` says so."""
    chosen = config.evaluation
    num_envs = min(chosen.num_envs, chosen.episodes)
    workers = Workers.current()
    player = PolicyPlayer(agent, len(workers.own(num_envs)))
    return score(
        player,
        config.eval_env,
        chosen.episodes,
        num_envs,
        chosen.seed,
        max_steps=chosen.step_limit,
        stop=stop,
        workers=workers,
    )
