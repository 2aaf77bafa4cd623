"""Saving and loading of policies without their agents, under the same rules as agents."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, Self

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import ConstantSchedule, get_device

from expirespan.agents.checkpoint.archive import arguments, carries_pickle, read, write
from expirespan.agents.checkpoint.files import Source, named, replacing
from expirespan.agents.checkpoint.plausible import check_finite_parameters, fitting
from expirespan.agents.checkpoint.weights import check_weights, raise_again, raised
from expirespan.quoting import said


class CheckpointedPolicy(ActorCriticPolicy):
    """`ActorCriticPolicy` that saves atomically and loads without unpickling."""

    def save(self, path: Source) -> None:
        """Save constructor arguments and weights, under just this name. Only data is written."""
        sections = self.sections()
        if not isinstance(path, (str, pathlib.Path)):
            return write(path, sections, stacklevel=3)
        with replacing(pathlib.Path(path)) as file:
            write(file, sections, stacklevel=3)

    def sections(self) -> dict[str, Mapping[str, Any]]:
        """What a file holds: ``arguments`` of the constructor, ``weights``, and longest spans that were ``raised``."""
        data = self._get_constructor_parameters()
        del data["lr_schedule"]  # a policy alone does not learn
        spans = {"raised": raised(getattr(self, "memory", None))}
        return {"arguments": data, "weights": {"policy": self.state_dict()}, "spans": spans}

    @classmethod
    def load(
        cls,
        path: Source,
        device: th.device | str = "auto",
        *,
        custom_objects: dict[str, Any] | None = None,
        trust_pickle: bool = False,
    ) -> Self:
        """A policy from a file; ``custom_objects`` and ``trust_pickle`` as for agents.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, no saved policy, or carries a pickle.
        """
        if trust_pickle and carries_pickle(path):
            return super().load(path, device)  # type: ignore[arg-type]
        content, given = read(path, "policy"), custom_objects or {}
        try:
            content.require(arguments(cls), given)
            data = content.decode("arguments", given)
            weights = content.decode("weights")["policy"]
            with fitting(weights):
                policy = cls(**{**data, "lr_schedule": ConstantSchedule(0.0)})
            check_weights({"policy": weights}, {"policy": policy.state_dict()}, exact_match=True)
            policy.load_state_dict(weights)
            spans = content.decode("spans") if "spans" in content.sections else {}
            raise_again(getattr(policy, "memory", None), spans.get("raised"))
            check_finite_parameters(policy)
        except Exception as error:  # what a damaged value leads to, the classes it is given to decide
            raise ValueError(f"{named(path)} cannot be loaded as {cls.__name__}: {said(error)}") from error
        return policy.to(get_device(device))
