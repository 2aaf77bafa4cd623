"""Training from a configuration: what the command line calls, and scripts may call as well."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
from stable_baselines3.common.logger import KVWriter, Logger

from expirespan.experiments.build import Agent, load_agent, make_agent, make_training_env
from expirespan.experiments.callbacks import TrainingCallback
from expirespan.experiments.config import Config
from expirespan.experiments.config_file import to_dict, to_yaml
from expirespan.experiments.errors import UserError
from expirespan.experiments.evaluate import Score
from expirespan.experiments.files import write_text
from expirespan.experiments.interrupt import StopOnSignal
from expirespan.experiments.log_files import CSVWriter, TensorBoardWriter
from expirespan.experiments.progress import ProgressBar
from expirespan.experiments.record import image_of
from expirespan.experiments.retention import draw_retention
from expirespan.experiments.run import Run
from expirespan.experiments.tracking import WandbWriter

FIXED = ("seed", "trained_agent", "num_envs", "env", "memory", "algorithm", "penalty", "forgetting", "recipe")
"""Settings that a run cannot change when it is resumed."""


@dataclass(frozen=True)
class TrainingResult:
    """``score`` and ``picture`` are of the last evaluation; None if training was stopped before one."""

    run: Run
    agent: Agent
    steps: int
    reached_target: bool
    interrupted: bool
    score: Score | None
    picture: Path | None
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
    begin = time.perf_counter()
    torch.set_num_threads(config.threads)
    env = make_training_env(config)
    if resume is None:
        weights = None if config.trained_agent is None else _weights_of(config.trained_agent)
        agent = make_agent(config, env)  # seeds everything with config.seed
        if weights is not None:
            _begin_with(agent, weights, config)
        run = Run.create(config)
    else:
        run = resume
        checkpoint = run.newest_checkpoint()
        _check_resumable(config, run.config)
        agent = load_agent(config, checkpoint, env, resume=True)
        if agent.num_timesteps >= config.total_timesteps:
            raise UserError(
                f"{run.folder} already has {agent.num_timesteps:,} of {config.total_timesteps:,} steps; "
                "ask for more with --total-timesteps"
            )
        run.drop_evaluations(after=agent.num_timesteps)
        write_text(run.folder / "config.yaml", to_yaml(config))

    start = agent.num_timesteps
    tracker = WandbWriter(run.folder, run.name, to_dict(config), config.wandb)
    bar = ProgressBar(config.total_timesteps, start, config.progress)
    writers: list[KVWriter] = [CSVWriter(run.progress, until=start if resume else None), tracker, bar]
    if config.tensorboard:
        writers.append(TensorBoardWriter(str(run.folder / "tensorboard"), until=start if resume else None))
    logger = Logger(str(run.folder), writers)
    agent.set_logger(logger)
    try:
        with StopOnSignal() as signal:
            callback = TrainingCallback(config, run, signal)
            agent.learn(
                config.total_timesteps - start,
                callback,
                log_interval=None,  # type: ignore[arg-type]  # the callback writes the rows
                reset_num_timesteps=resume is None,
            )
            if signal.requested:
                run.save_checkpoint(agent, config.checkpoints)
    except (ValueError, ArithmeticError, OSError) as error:
        raise _stopped(run, error) from error
    finally:
        logger.close()
        env.close()

    picture = None
    if callback.trace is not None and not signal.requested:
        drawer = image_of(config.eval_env)
        picture = draw_retention(callback.trace, run.pictures / "retention.png", drawer)
    return TrainingResult(
        run=run,
        agent=agent,
        steps=agent.num_timesteps,
        reached_target=callback.reached_at is not None,
        interrupted=signal.requested,
        score=callback.score,
        picture=picture,
        seconds=time.perf_counter() - begin,
    )


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


def _stopped(run: Run, error: Exception) -> UserError:
    """What to tell of an error in training; the traceback goes to a file."""
    report = run.folder / "error.txt"
    try:
        write_text(report, traceback.format_exc())
        details = f"details are in {report}"
    except OSError:
        details = "details could not be written"
    saved = run.step_checkpoints()
    last = f"the last checkpoint is {saved[-1]}" if saved else "there was no checkpoint yet"
    return UserError(f"training stopped: {' '.join(str(error).split())}; {last}; {details}")
