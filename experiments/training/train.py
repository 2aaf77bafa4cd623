"""Training from a configuration, for the command line and for scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from expirespan.agents import SB3VecEnv
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.record import image_of, words_of
from expirespan.experiments.evaluation.evaluate import Score
from expirespan.experiments.making.agents import Agent, load_agent, make_agent
from expirespan.experiments.making.envs import keeping_envs_open, make_training_env
from expirespan.experiments.pictures.retention import draw_retention
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.terminal.text import facts
from expirespan.experiments.training.callbacks import TrainingCallback
from expirespan.experiments.training.header import header
from expirespan.experiments.training.progress import ProgressBar
from expirespan.experiments.training.session import session
from expirespan.experiments.training.target import is_target

FIXED = ("seed", "trained_agent", "num_envs", "env", "memory", "algorithm", "penalty", "forgetting", "recipe")
"""Settings that a run cannot change when it is resumed."""


@dataclass(frozen=True)
class TrainingResult:
    """``score``, ``picture`` and ``kept``, a sentence on what the agent keeps, are of the last evaluation.

    The first two are None, and the sentence empty, if training was stopped before one; the sentence also for memories
    without spans. ``reached_target`` is None where there was no target.
    """

    run: Run
    agent: Agent
    steps: int
    reached_target: bool | None
    interrupted: bool
    score: Score | None
    picture: Path | None
    kept: str
    seconds: float


def train(config: Config, resume: Run | None = None) -> TrainingResult:
    """Train until the target is held or all steps are used, in a new run folder or that of ``resume``.

    A resumed run goes on exactly where its newest checkpoint stands, between an update and the next rollout; what
    was logged after that is dropped. Ctrl-C (in the main thread) saves a checkpoint of the last update and
    returns with ``interrupted``. The same settings on the same machine give the same weights and logs, times
    aside, however often the run was stopped and resumed.

    Raises:
        UserError: settings that do not fit, a folder that cannot be written, or an environment or update that
            gives no finite numbers; checkpoints saved before stay.
    """
    with keeping_envs_open():
        return _train(config, resume)


def _train(config: Config, resume: Run | None) -> TrainingResult:
    begin = time.perf_counter()
    torch.set_num_threads(config.threads)
    env = make_training_env(config)
    try:
        agent = _new_agent(config, env) if resume is None else _resumed_agent(config, env, resume)
        bar = ProgressBar(config, agent.num_timesteps)
        with session(config, agent, resume, [bar]) as run_session:
            agent.set_logger(run_session.logger)
            callback = TrainingCallback(config, run_session)
            print(facts(header(config, run_session.run, agent.num_timesteps)), flush=True)
            bar.begin()
            agent.learn(
                config.total_timesteps - agent.num_timesteps,
                callback,
                log_interval=None,  # type: ignore[arg-type]  # the callback writes the rows
                reset_num_timesteps=resume is None,
            )
            interrupted = run_session.signal.requested
            if interrupted:
                run_session.save(agent)
    finally:
        env.close()
    run, picture = run_session.run, None
    if callback.trace is not None and not interrupted:
        drawer = image_of(config.eval_env)
        picture = draw_retention(callback.trace, run.pictures / "retention.png", drawer)
    return TrainingResult(
        run=run,
        agent=agent,
        steps=agent.num_timesteps,
        reached_target=callback.reached_at is not None if is_target(config.target) else None,
        interrupted=interrupted,
        score=callback.score,
        picture=picture,
        kept=kept_sentence(callback.trace, words_of(config.eval_env)) if picture and callback.trace else "",
        seconds=time.perf_counter() - begin,
    )


def _new_agent(config: Config, env: SB3VecEnv) -> Agent:
    """An agent that has learned nothing, or has the weights that the settings name."""
    weights = None if config.trained_agent is None else _weights_of(config.trained_agent)
    agent = make_agent(config, env)  # seeds everything with config.seed
    if weights is not None:
        _begin_with(agent, weights, config)
    return agent


def _resumed_agent(config: Config, env: SB3VecEnv, run: Run) -> Agent:
    """The agent of a run where its newest checkpoint stands."""
    checkpoint = run.newest_checkpoint(set_aside=True)
    _check_resumable(config, run.config)
    agent = load_agent(config, checkpoint, env, resume=True)
    if agent.num_timesteps >= config.total_timesteps:
        raise UserError(
            f"{run.folder} already has {agent.num_timesteps:,} of {config.total_timesteps:,} steps; "
            "ask for more with --total-timesteps"
        )
    return agent


def _weights_of(path: str) -> dict[str, torch.Tensor]:
    """The weights of the policy in the newest checkpoint of a run, or in a checkpoint file of one."""
    file = Path(path)
    run = Run.open(file.parent.parent if file.is_file() else file)
    checkpoint = file if file.is_file() else run.newest_checkpoint()
    return load_agent(run.config, checkpoint).policy.state_dict()


def _begin_with(agent: Agent, weights: dict[str, torch.Tensor], config: Config) -> None:
    try:
        agent.policy.load_state_dict(weights)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise UserError(
            f"trained-agent={config.trained_agent}: its policy is not that of these settings ({first}); "
            "choose the memory, heads and environment that it was trained with"
        ) from None


def _check_resumable(config: Config, before: Config) -> None:
    for name in FIXED:
        if getattr(config, name) != getattr(before, name):
            raise UserError(
                f"{name} cannot change when a run is resumed: it was {getattr(before, name)} and is now "
                f"{getattr(config, name)}; leave it out, or begin a new run"
            )
