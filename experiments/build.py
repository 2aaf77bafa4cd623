"""From settings to objects: environments and agents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy.typing as npt
import torch
from gymnasium import spaces
from gymnasium.envs.registration import VectorizeMode, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics, TransformReward
from stable_baselines3.common.utils import LinearSchedule

from expirespan.agents import (
    AdaptivePenalty,
    ConstantPenalty,
    Forgetting,
    MemoryA2C,
    MemoryActorCriticPolicy,
    MemoryPPO,
    PenaltySchedule,
    SB3VecEnv,
    StandardizedExtractor,
    WarmupPenalty,
)
from expirespan.envs import VectorFrameStackObservation
from expirespan.experiments.config import (
    A2CAlgorithm,
    AdaptivePenaltyPart,
    Config,
    Env,
    Lesson,
    NoLesson,
    Penalty,
    WarmupPenaltyPart,
    settings,
)
from expirespan.experiments.errors import UserError

Agent = MemoryPPO | MemoryA2C


@contextmanager
def _checked(what: str) -> Iterator[None]:
    """Report what constructors say of their arguments as the user's error."""
    try:
        yield
    except (ValueError, TypeError, AssertionError) as error:
        raise UserError(f"{what}: {error}") from error


def make_envs(env: Env, num_envs: int, **more: Any) -> VectorEnv[Any, Any, Any]:
    """Environments side by side, which restart within the step that ends an episode; ``more``: for `make_vec`."""
    with _checked(f"environment {env.gym_id}"):
        try:
            own = metadata_of(gym.spec(env.gym_id).vector_entry_point)
            drawn = more.get("render_mode") in (None, *own.get("render_modes", []))
            if drawn and own.get("autoreset_mode") is AutoresetMode.SAME_STEP:
                made = gym.make_vec(env.gym_id, num_envs=num_envs, **env.parameters, **more)
            else:
                same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
                made = gym.make_vec(
                    env.gym_id,
                    num_envs,
                    VectorizeMode.SYNC,
                    vector_kwargs=same_step,
                    **env.parameters,
                    **more,
                )
            return made if env.frame_stack == 1 else VectorFrameStackObservation(made, env.frame_stack)
        except gym.error.Error as error:
            raise UserError(f"environment {env.gym_id}: {error}") from None


def creator(entry_point: Any) -> Any:
    """What an entry point of Gymnasium's registry, text or not, calls to make an environment; None for none."""
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def metadata_of(entry_point: Any) -> dict[str, Any]:
    """The metadata of the class that an entry point names; nothing if it names a function, or nothing."""
    found: dict[str, Any] = getattr(creator(entry_point), "metadata", {})
    return found


def make_training_env(config: Config) -> SB3VecEnv:
    """The training environments, with returns and lengths of episodes, for an agent."""
    envs: VectorEnv[Any, Any, Any] = RecordEpisodeStatistics(make_envs(config.env, config.num_envs))
    if config.reward_scale != 1.0:
        envs = TransformReward(envs, partial(mul, config.reward_scale))
    return SB3VecEnv(envs, info_keys=())


def make_agent(config: Config, env: SB3VecEnv) -> Agent:
    """A new agent. Its constructor seeds python, numpy, torch and ``env`` with ``config.seed``."""
    given = settings(config.algorithm)
    policy: dict[str, Any] = {"memory": config.memory.name, "memory_kwargs": settings(config.memory)}
    if config.env.choices and config.standardize:
        raise UserError(f"standardize={config.standardize}: {config.env.gym_id} shows words; use 0")
    if config.env.choices:
        policy["features_extractor_kwargs"] = config.env.choices
    elif config.standardize:
        policy["features_extractor_class"] = StandardizedExtractor
        policy["features_extractor_kwargs"] = {"least_deviation": config.least_deviation}
    policy["net_arch"] = list(given.pop("net_arch"))
    policy["predictor_lr"] = given.pop("predictor_lr")
    if given.pop("lr_schedule") == "linear":
        given["learning_rate"] = LinearSchedule(given["learning_rate"], 0.0, 1.0)
    kind = MemoryA2C if isinstance(config.algorithm, A2CAlgorithm) else MemoryPPO
    with _checked(f"{config.algorithm.name} with memory {config.memory.name}"):
        agent = kind(
            _policy(config.env, env.observation_space),
            env,
            policy_kwargs=policy,
            span_penalty=_penalty(config.penalty),
            forgetting=_forgetting(config.forgetting),
            seed=config.seed,
            device=check_device(config.device),
            **given,
        )
        if isinstance(agent.policy.features_extractor, StandardizedExtractor):
            agent.policy.features_extractor.calibrate(random_observations(config))
        return agent


def _policy(env: Env, space: spaces.Space[Any]) -> str:
    if env.choices:
        return "ChoicePolicy"
    return "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"


def random_observations(config: Config) -> Iterator[npt.NDArray[Any]]:
    """What random actions show in ``config.standardize`` steps of environments of their own, step by step."""
    envs = make_envs(config.env, config.num_envs)
    yield envs.reset(seed=config.seed)[0]
    envs.action_space.seed(config.seed)
    for _ in range(config.standardize // config.num_envs):
        yield envs.step(envs.action_space.sample())[0]
    envs.close()


def load_agent(
    config: Config,
    checkpoint: Path,
    env: SB3VecEnv | None = None,
    device: str | None = None,
    resume: bool = False,
) -> Agent:
    """The agent in a checkpoint of a run with these settings; ``resume``: with ``env`` where the run stood.

    Raises:
        UserError: the file cannot be read.
    """
    kind = MemoryA2C if isinstance(config.algorithm, A2CAlgorithm) else MemoryPPO
    try:
        return kind.load(checkpoint, env=env, device=check_device(device or config.device), resume=resume)
    except Exception as error:  # zipfile, safetensors and torch each have their own
        raise UserError(f"cannot load the checkpoint {checkpoint}: {error}") from error


def memory_policy(agent: Agent) -> MemoryActorCriticPolicy:
    """The policy of an agent that was made or loaded here: one that reads its memory."""
    assert isinstance(agent.policy, MemoryActorCriticPolicy)
    return agent.policy


def rules(agent: Agent) -> list[Any]:
    """The rules for forgetting of the agent's layers; none for recurrent memories."""
    return list(getattr(agent.policy.memory, "rules", []))


def check_device(device: str) -> str:
    """The device, if there is one of that name.

    Raises:
        UserError: it is unknown or not on this machine.
    """
    try:
        kind = "cpu" if device == "auto" else torch.device(device).type
    except RuntimeError:
        raise UserError(f"device={device!r}: expected auto, cpu, cuda or cuda:N") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={device!r}: PyTorch finds no GPU here; use --device cpu or auto")
    return device


def _penalty(part: Penalty) -> PenaltySchedule:
    with _checked(f"penalty {part.name}"):
        if isinstance(part, AdaptivePenaltyPart):
            return AdaptivePenalty(**settings(part))
        return (
            WarmupPenalty(**settings(part))
            if isinstance(part, WarmupPenaltyPart)
            else ConstantPenalty(part.coef)
        )


def _forgetting(part: Lesson) -> Forgetting | None:
    with _checked("forgetting"):
        return None if isinstance(part, NoLesson) else Forgetting(**settings(part))
