"""Normalisation of observations by the statistics of training: (o - mean) / sqrt(var + epsilon), then clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces

from expirespan.agents.checkpoint.statistics import Statistics

Array = npt.NDArray[Any]
WHOLE = "obs_rms"
"""Name of the statistics in wrappers; those of one part of a Dict are called ``obs_rms.KEY``."""
DEFAULTS: dict[str, dict[str, float | None]] = {
    "VecNormalize": {"epsilon": 1e-8, "clip_obs": 10.0},
    "NormalizeObservation": {"epsilon": 1e-8, "clip_obs": None},
}
"""Settings of the wrappers, for files that hold none: those that the wrappers have by default."""


@dataclass(frozen=True)
class Normalization:
    """``mean`` and ``var`` by key of a Dict observation, or under "" of the whole one; parts without stay as they are.

    ``clip``: largest absolute value afterwards, None for no limit.
    """

    mean: Mapping[str, Array]
    var: Mapping[str, Array]
    epsilon: float
    clip: float | None

    @classmethod
    def of(cls, statistics: Statistics, space: spaces.Space[Any]) -> Self | None:
        """That of the wrappers whose ``statistics`` these are, for observations of ``space``; None without any.

        Raises:
            ValueError: there is more than one, or it is of other observations than those that the policy reads.
        """
        found = [part for part in statistics if any(name.startswith(WHOLE) for name in part["values"])]
        if not found:
            return None
        kinds = ", ".join(part["kind"] for part in found)
        if len(found) > 1 or found[0]["kind"] not in DEFAULTS:
            raise ValueError(
                f"the agent learned from observations normalised by {kinds}, which no file to act with can hold: "
                "expected one VecNormalize, or one NormalizeObservation around all environments; train with one"
            )
        part, settings = found[0], DEFAULTS[found[0]["kind"]] | found[0].get("settings", {})
        own = {
            name.removeprefix(WHOLE).removeprefix("."): moments
            for name, moments in part["values"].items()
            if name.startswith(WHOLE)
        }
        for key, moments in own.items():
            shape, read = np.shape(moments["mean"]), (space[key] if key else space).shape  # type: ignore[index]
            if shape != read:
                raise ValueError(
                    f"the statistics of {kinds} are of observations of shape {shape}, and the policy reads {read}: "
                    "another wrapper changed them in between; put VecNormalize outermost, around all other wrappers"
                )
        mean, var = ({k: np.asarray(m[name], np.float64) for k, m in own.items()} for name in ("mean", "var"))
        epsilon, clip = settings["epsilon"], settings["clip_obs"]
        assert epsilon is not None
        return cls(mean, var, epsilon, clip)

    def __call__(self, observation: Array | dict[str, Array]) -> Array | dict[str, Array]:
        """Observations as the policy reads them, one or a batch; in 32 bits where they are normalised."""
        if isinstance(observation, dict):
            return {key: self._array(key, np.asarray(part)) for key, part in observation.items()}
        return self._array("", np.asarray(observation))

    def _array(self, key: str, part: Array) -> Array:
        if key not in self.mean:
            return part
        found: Array = self._scaled(part, self.mean[key], self.deviation(key)).astype(np.float32)
        return found

    def tensor(self, key: str, part: th.Tensor) -> th.Tensor:
        """The same for one part of a batch in PyTorch, within a graph."""
        if key not in self.mean:
            return part
        mean, deviation = (
            th.as_tensor(value, device=part.device) for value in (self.mean[key], self.deviation(key))
        )
        found: th.Tensor = self._scaled(part.double(), mean, deviation).float()
        return found

    def deviation(self, key: str) -> Array:
        """What a part is divided by."""
        found: Array = np.sqrt(self.var[key] + self.epsilon)
        return found

    def _scaled(self, part: Any, mean: Any, deviation: Any) -> Any:
        scaled = (part - mean) / deviation
        return scaled if self.clip is None else scaled.clip(-self.clip, self.clip)
