"""Construction of agents from settings, new ones or those of a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.utils import LinearSchedule

from expirespan.agents import (
    AdaptivePenalty,
    ConstantPenalty,
    DeployedPolicy,
    Forgetting,
    MemoryA2C,
    MemoryActorCriticPolicy,
    MemoryPPO,
    PenaltySchedule,
    PlateauPenalty,
    SB3VecEnv,
    StandardizedExtractor,
    WarmupPenalty,
)
from expirespan.agents.export.deployed import is_policy
from expirespan.agents.pretrained.shelf import policy_file
from expirespan.experiments.making.checked import checked
from expirespan.experiments.making.envs import random_observations
from expirespan.experiments.settings import (
    A2CSettings,
    AdaptivePenaltySettings,
    Config,
    ConstantPenaltySettings,
    Env,
    Lesson,
    NoLessonSettings,
    Penalty,
    PlateauPenaltySettings,
    WarmupPenaltySettings,
    settings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.parameters import Stretch

Agent = MemoryPPO | MemoryA2C


def make_agent(config: Config, env: SB3VecEnv) -> Agent:
    """A new agent. Its constructor seeds python, numpy, torch and ``env`` with ``config.seed``."""
    _check_lesson(config)
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
    kind = MemoryA2C if isinstance(config.algorithm, A2CSettings) else MemoryPPO
    with checked(f"{config.algorithm.name} with memory {config.memory.name}"):
        agent = kind(
            policy_name(config.env, env.observation_space),
            env,
            policy_kwargs=policy,
            span_penalty=_penalty(config.penalty),
            forgetting=_forgetting(config.forgetting),
            seed=config.seed,
            device=check_device(config.device),
            **given,
        )
        if isinstance(agent.policy.features_extractor, StandardizedExtractor):
            agent.policy.features_extractor.calibrate(_as_read(agent, random_observations(config)))
        return agent


def _check_lesson(config: Config) -> None:
    """Raise UserError if there is a lesson in forgetting for a memory that has no spans to learn."""
    if isinstance(config.forgetting, NoLessonSettings) or getattr(config.memory, "learns_spans", False):
        return
    off = ["--forgetting none"]
    if config.penalty != ConstantPenaltySettings():
        off.append("--penalty constant")
    if config.target.alive is not None:
        off.append("--target.alive None")
    raise UserError(
        f"memory {config.memory.name} has no spans that it could learn to shorten, as these settings want it to; "
        f"add {' '.join(off)}"
    )


def policy_name(env: Env, space: spaces.Space[Any]) -> str:
    """The policy for observations of a space."""
    if env.choices:
        return "ChoicePolicy"
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


def _as_read(agent: Agent, batches: Iterable[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Observations as features extractors read them: channels first, pixels from 0 to 1."""
    policy = agent.policy
    for batch in batches:
        seen = policy.obs_to_tensor(batch)[0]
        yield preprocess_obs(seen, policy.observation_space, policy.normalize_images).cpu().numpy()  # type: ignore[union-attr]


def load_agent(
    config: Config,
    checkpoint: Path | BytesIO,
    env: SB3VecEnv | None = None,
    device: str | None = None,
    resume: bool = False,
) -> Agent:
    """The agent in a checkpoint of a run with these settings; ``resume``: with ``env`` where the run stood.

    A policy's file gives an agent that acts and does not learn (`load_policy`).

    Raises:
        UserError: the file cannot be read.
    """
    if isinstance(checkpoint, Path) and is_policy(checkpoint):
        if resume:
            raise UserError(
                f"{checkpoint} is a policy alone, which cannot go on learning; begin a new run with its weights: "
                "expirespan train RECIPE --trained-agent RUN"
            )
        return load_policy(checkpoint, check_device(device or config.device))
    kind = MemoryA2C if isinstance(config.algorithm, A2CSettings) else MemoryPPO
    try:
        return kind.load(checkpoint, env=env, device=check_device(device or config.device), resume=resume)
    except Exception as error:  # zipfile, safetensors and torch each have their own
        raise UserError(f"cannot load the checkpoint {checkpoint}: {error}") from error


def load_policy(file: Path, device: str = "cpu") -> Agent:
    """An agent that acts by the policy in a file, as `DeployedPolicy.save` writes it, and learns nothing.

    Raises:
        UserError: the file cannot be read, or it normalises observations, which an agent does not.
    """
    try:
        deployed = DeployedPolicy.load(file, device)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the policy {file}: {error}") from error
    if deployed.normalization is not None:
        raise UserError(
            f"{file} normalises observations with statistics of VecNormalize, which commands do not apply: "
            "act with it in Python, by DeployedPolicy.load"
        )
    no_env: Any = None
    agent = MemoryPPO(MemoryActorCriticPolicy, no_env, device=device, _init_setup_model=False)
    agent.policy, agent.num_timesteps = deployed.policy, int(deployed.about.get("steps", 0))
    agent.observation_space, agent.action_space = deployed.observation_space, deployed.action_space
    return agent


def pretrained_agent(name: str) -> Agent:
    """A trained agent by its name, as `load_pretrained` takes it; it acts on the CPU and learns nothing.

    Raises:
        UserError: there is none of that name.
    """
    with checked("pretrained"):
        return load_policy(policy_file(name))


def memory_policy(agent: Agent) -> MemoryActorCriticPolicy:
    """The policy of an agent that was made or loaded here: one that reads its memory."""
    assert isinstance(agent.policy, MemoryActorCriticPolicy)
    return agent.policy


def rules(agent: Agent) -> list[Any]:
    """The rules for forgetting of the agent's layers; none for recurrent memories."""
    return rules_of(agent.policy.memory)


def rules_of(memory: Any) -> list[Any]:
    """As `rules`, of a memory."""
    return list(getattr(memory, "rules", []))


def ramps(agent: Agent) -> list[float]:
    """Steps for which what each layer keeps is read beyond its span: 0 under rules that give all the same."""
    return [rule.ramp if rule.span_parameters() else 0.0 for rule in rules(agent)]


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


SCHEDULES: dict[type[Any], type[Any]] = {
    ConstantPenaltySettings: ConstantPenalty,
    WarmupPenaltySettings: WarmupPenalty,
    AdaptivePenaltySettings: AdaptivePenalty,
    PlateauPenaltySettings: PlateauPenalty,
}
"""What each kind of price is made into; its arguments are the settings."""


def _penalty(part: Penalty) -> PenaltySchedule:
    with checked(f"penalty {part.name}"):
        made: PenaltySchedule = SCHEDULES[type(part)](**settings(part))
        return made


def _forgetting(part: Lesson) -> Forgetting | None:
    with checked("forgetting"):
        return None if isinstance(part, NoLessonSettings) else Forgetting(**settings(part))


def max_spans(agent: Agent) -> list[float | None]:
    """Longest span of each layer; None for no limit."""
    return [rule.max_span if math.isfinite(rule.max_span) else None for rule in rules(agent)]


def override_max_span(agent: Agent, max_span: float, stretch: Stretch = "all") -> None:
    """Give every layer another longest span: ``all`` spans change in proportion, or only ``long`` ones (`stretched`).

    Raises:
        UserError: it is no number of steps, or the memory has no such spans to lengthen.
    """
    if not 0 < max_span < math.inf or not rules(agent):
        raise UserError(
            f"max-span={max_span}: expected a number of steps > 0, and an agent whose memory has spans "
            f"(this one's is {agent.policy.memory_name})"
        )
    with checked("max-span"):
        for rule in rules(agent):
            rule.raise_max_span(max_span, stretch)
