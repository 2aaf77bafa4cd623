"""DeployedPolicy: a trained policy with all that acting needs, in one file, without agent and environments."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch as th
from gymnasium import spaces

from expirespan.agents.base.checks import check_observation
from expirespan.agents.checkpoint.archive import read, write
from expirespan.agents.checkpoint.files import Source, named, origin, replacing
from expirespan.agents.checkpoint.statistics import hidden_statistics, statistics_of
from expirespan.agents.core.policies import MemoryActorCriticPolicy
from expirespan.agents.export.normalization import Normalization
from expirespan.memory import MemoryState
from expirespan.quoting import said

SECTION = "deployed"
"""The part of a file that `MemoryActorCriticPolicy.save` does not write; files without it load as well."""


class DeployedPolicy:
    """A policy, the normalisation of its observations, and ``about``: where it comes from, plain data.

    Its observations are those of the environment as training wrapped it, but not yet normalised.
    """

    def __init__(
        self,
        policy: MemoryActorCriticPolicy,
        normalization: Normalization | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(policy, MemoryActorCriticPolicy):
            raise ValueError(
                f"{type(policy).__name__} is a policy without memory, and only policies with one are exported here: "
                "expected a MemoryActorCriticPolicy; save others with their own save()"
            )
        policy.set_training_mode(False)
        self.policy, self.normalization, self.about = policy, normalization, dict(about or {})

    @classmethod
    def of(cls, agent: Any, about: Mapping[str, Any] | None = None) -> Self:
        """The policy of a MemoryPPO or MemoryA2C, with the statistics of its environments.

        Raises:
            ValueError: its policy has no memory, or its observations were normalised in a way that no file can hold.
        """
        if agent._hidden if agent.env is None else hidden_statistics(agent.env):
            raise ValueError(
                "the agent learned in environments normalised within processes of their own, whose statistics no file "
                "can hold; train with VecNormalize around them instead"
            )
        statistics = agent._statistics if agent.env is None else statistics_of(agent.env)
        policy = agent.policy
        return cls(policy, Normalization.of(statistics, policy.observation_space), about)

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """What it reads: one environment's observation, images with channels first or last."""
        return self.policy.observation_space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What it answers with."""
        return self.policy.action_space

    def predict(
        self,
        observation: Any,
        state: MemoryState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, MemoryState]:
        """Action and next memory state, as `MemoryActorCriticPolicy.predict`; observations are normalised first."""
        check_observation(observation)
        read = observation if self.normalization is None else self.normalization(observation)
        acted: tuple[np.ndarray, MemoryState] = self.policy.predict(
            read, state, episode_start, deterministic, action_masks
        )
        return acted

    def save(self, path: Source) -> None:
        """Write the file, atomically; it holds only data. `MemoryActorCriticPolicy.load` reads it as well."""
        own = {
            "policy_class": type(self.policy),
            "normalization": None if self.normalization is None else asdict(self.normalization),
            "about": self.about,
        }
        sections = {**self.policy.sections(), SECTION: own}
        if not isinstance(path, (str, pathlib.Path)):
            return write(path, sections, stacklevel=3)
        with replacing(pathlib.Path(path)) as file:
            write(file, sections, stacklevel=3)

    @classmethod
    def load(
        cls, path: Source, device: th.device | str = "auto", *, custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """From a file that `save`, ``expirespan export`` or a policy's ``save`` wrote.

        ``custom_objects``: classes of your own by their name in the file, ``"module:Class"``, if that module is not
        imported.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged or no saved policy.
        """
        source = origin(path)
        content = read(source, "policy")
        try:
            own = content.decode(SECTION, custom_objects) if SECTION in content.sections else {}
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ValueError(f"{named(source)} cannot be loaded as a policy: {said(error)}") from error
        kind: type[MemoryActorCriticPolicy] = own.get("policy_class", MemoryActorCriticPolicy)
        policy = kind.load(source, device, custom_objects=custom_objects)
        normalization = own.get("normalization")
        return cls(
            policy, None if normalization is None else Normalization(**normalization), own.get("about")
        )
