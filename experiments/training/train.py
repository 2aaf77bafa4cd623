"""Training from a configuration, for the command line and for scripts."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch

from expirespan.agents import SB3VecEnv, Workers
from expirespan.agents.checkpoint.weights import differences, listed
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.evaluation.evaluate import Score
from expirespan.experiments.making.agents import Agent, load_agent, make_agent
from expirespan.experiments.making.envs import keeping_envs_open, make_training_env
from expirespan.experiments.making.faults import EnvironmentFault
from expirespan.experiments.pictures.retention import draw_retention
from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.terminal.text import facts
from expirespan.experiments.training.callbacks import TrainingCallback
from expirespan.experiments.training.following import Following, following
from expirespan.experiments.training.header import header
from expirespan.experiments.training.progress import ProgressBar
from expirespan.experiments.training.session import Session, is_complete, session
from expirespan.experiments.training.target import is_target

FIXED = (
    "seed", "trained_agent", "standardize", "least_deviation", "reward_scale", "normalize_reward", "num_envs", "env",
    "memory", "algorithm", "penalty", "forgetting", "recipe",
)  # fmt: skip
"""Settings that a run cannot change when it is resumed."""
RUN = "run"
"""Under which the folder of a run is noted for workers that are restarted."""


@dataclass(frozen=True)
class TrainingResult:
    """``score``, ``picture`` and ``kept``, a sentence on what the agent keeps, are of the last evaluation.

    ``score`` is None if no evaluation was made; the picture also, and the sentence empty, if training was stopped, the
    sentence also for memories without spans. ``run`` is None at workers other than the first, who write
    nothing. ``reached_target`` is None where there was no target. ``interrupted``:
    something is left to do. ``was_complete``: nothing was left when the run was resumed.
    """

    run: Run | None
    agent: Agent
    steps: int
    reached_target: bool | None
    interrupted: bool
    score: Score | None
    picture: Path | None
    kept: str
    seconds: float
    was_complete: bool = False


def train(config: Config, resume: Run | None = None) -> TrainingResult:
    """Train until the target is held or all steps are used, in a new run folder or that of ``resume``.

    A resumed run goes on exactly where its newest checkpoint stands, between an update and the next rollout, or from
    the beginning if there is none; what was logged after that is dropped. Of a run that has ended, what is missing is
    completed. Ctrl-C (in the main thread) saves a checkpoint of the last update and returns with ``interrupted``. The
    same settings on the same machine give the same weights and logs, times aside, however often the run was stopped
    and resumed.

    If the process has joined others (`Workers`), each of them calls it with the same settings. They share out the
    environments, the first one writes, and all return when the run ends; what stops one of them stops all. Those that
    torchrun has restarted go on with the run that they had begun.

    Raises:
        UserError: settings that do not fit, a folder that cannot be written or in which another process trains, or an
            environment or update that fails; the message names the last checkpoint. If an environment failed, that
            is of the last update.
    """
    workers = Workers.current()
    with keeping_envs_open(), locked(resume.folder) if resume and workers.lead else nullcontext():
        return _train(config, resume, workers)


def _train(config: Config, resume: Run | None, workers: Workers) -> TrainingResult:
    begin = time.perf_counter()
    torch.set_num_threads(config.threads)
    env = make_training_env(config)
    run, picture, kept = None, None, ""
    try:
        agent, anew = _agent(config, env, resume, workers)
        bar = ProgressBar(config, agent.num_timesteps)
        opened: AbstractContextManager[Session | Following] = (
            session(config, agent, resume, [bar]) if workers.lead else following(workers.broadcast([]))
        )
        with opened as run_session:
            if isinstance(run_session, Session):
                run = run_session.run
                workers.remember(RUN, str(run.folder.absolute()))
                workers.broadcast(run_session.entries)
            agent.set_logger(run_session.logger)
            callback = TrainingCallback(config, run_session)
            was_complete = workers.broadcast(resume is not None and callback.is_complete(agent))
            if not was_complete:
                if run is not None:
                    print(facts(header(config, run, agent.num_timesteps)), flush=True)
                    bar.begin()
                _learn(agent, config, callback, run_session, anew)
            asked = workers.any(run_session.signal.requested)
            interrupted = asked and not workers.broadcast(callback.is_complete(agent))
            if interrupted:
                run_session.save(agent.collected())
            elif run is not None:
                picture, kept = _draw(config, run, callback.trace)
    finally:
        env.close()
    return TrainingResult(
        run=run,
        agent=agent,
        steps=agent.num_timesteps,
        reached_target=callback.reached_at is not None if is_target(config.target) else None,
        interrupted=interrupted,
        score=callback.score,
        picture=picture,
        kept=kept,
        seconds=time.perf_counter() - begin,
        was_complete=was_complete,
    )


def _learn(
    agent: Agent, config: Config, callback: TrainingCallback, run_session: Session | Following, anew: bool
) -> None:
    """Train. If acting fails, as environments of others may, what was learned until then is saved."""
    try:
        agent.learn(
            max(0, config.total_timesteps - agent.num_timesteps),
            callback,
            log_interval=None,  # type: ignore[arg-type]  # the callback writes the rows
            reset_num_timesteps=anew,
        )
    except Exception as error:
        if agent.within_rollout and agent.workers.failed in (None, error):  # otherwise others are elsewhere
            with suppress(OSError):  # the disk is full: the error says so
                run_session.save(agent.collected())
        if isinstance(error, EnvironmentFault):
            where = f"in training after {agent.num_timesteps:,} steps" if agent.within_rollout else (
                f"in the evaluation after {agent.num_timesteps:,} steps" if agent.num_timesteps
                else "before the first step of training"
            )  # fmt: skip
            raise EnvironmentFault(f"{where}: {error}") from error
        raise


def _draw(config: Config, run: Run, trace: EpisodeTrace | None) -> tuple[Path | None, str]:
    """Picture and sentence of the last evaluation's episode, recorded now or before the run was resumed."""
    evaluations = run.evaluations()
    file = run.trace_at(evaluations[-1]["step"]) if evaluations else None
    if trace is None and file is not None and file.exists():
        trace = EpisodeTrace.load(file)
    if trace is None:
        return None, ""
    picture = draw_retention(trace, run.pictures / "retention.png", image_of(config.eval_env))
    return picture, kept_sentence(trace)


def _new_agent(config: Config, env: SB3VecEnv) -> Agent:
    """An agent that has learned nothing, or has the weights that the settings name."""
    lead = Workers.current().lead  # who shares its weights when learning begins
    weights = None if config.trained_agent is None or not lead else _weights_of(config.trained_agent)
    agent = make_agent(config, env)  # seeds everything with config.seed
    if weights is not None:
        _begin_with(agent, weights, config)
    return agent


def _agent(config: Config, env: SB3VecEnv, run: Run | None, workers: Workers) -> tuple[Agent, bool]:
    """The agent of a run where its newest checkpoint stands, or a new one if there is none; whether it is new.

    Only the first worker has the run, and hands its checkpoint on.
    """
    checkpoint: Path | None = None
    if run is not None:
        _check_resumable(config, run.config)
        if run.step_checkpoints():
            checkpoint = run.newest_checkpoint(set_aside=True)
    data = workers.broadcast(checkpoint.read_bytes() if checkpoint and workers.size > 1 else None)
    if checkpoint is None and data is None:
        return _new_agent(config, env), True
    agent = load_agent(config, checkpoint or BytesIO(data or b""), env, resume=True)
    if run is not None and is_complete(run, agent.num_timesteps):
        agent.forget_pending_log()
    return agent, False


def _weights_of(path: str) -> dict[str, torch.Tensor]:
    """The weights of the policy in the newest checkpoint of a run, or in a checkpoint file of one."""
    file = Path(path)
    run = Run.open(file.parent.parent if file.is_file() else file)
    checkpoint = file if file.is_file() else run.newest_checkpoint()
    return load_agent(run.config, checkpoint).policy.state_dict()


def _begin_with(agent: Agent, weights: dict[str, torch.Tensor], config: Config) -> None:
    wrong = differences({"policy": weights}, {"policy": agent.policy.state_dict()})
    if wrong:
        raise UserError(
            f"trained-agent={config.trained_agent}: its policy is not that of these settings ({listed(wrong)}); "
            "choose the memory, heads and environment that it was trained with"
        )
    agent.policy.load_state_dict(weights)


def _check_resumable(config: Config, before: Config) -> None:
    for name in FIXED:
        if getattr(config, name) != getattr(before, name):
            raise UserError(
                f"{name} cannot change when a run is resumed: it was {getattr(before, name)} and is now "
                f"{getattr(config, name)}; leave it out, or begin a new run"
            )
