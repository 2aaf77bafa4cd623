"""Features with mean 0 and deviation 1, by statistics taken once before training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from expirespan.parameters import LeastDeviation
from expirespan.ranges import checked


class StandardizedExtractor(BaseFeaturesExtractor):
    """A Box observation, flattened, minus a mean, divided by a deviation, entry by entry; both are buffers.

    What hardly varies (walls, in a one-hot view) otherwise makes up nearly all of an observation, and what matters is
    learned several times more slowly. Unlike `VecNormalize` nothing changes during training, and the numbers are part
    of the policy and of its files. Until `calibrate` is called they are 0 and 1.

    Use it as ``policy_kwargs=dict(features_extractor_class=StandardizedExtractor)``.

    ``least_deviation``: deviations count as at least this share of the largest. What is rare weighs more the smaller
    it is, up to its inverse: what random actions never reach would otherwise outweigh all they see.

    Raises:
        ValueError: another observation space, or ``least_deviation`` outside (0, 1].
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    @checked
    def __init__(self, observation_space: spaces.Space[Any], least_deviation: LeastDeviation = 0.1) -> None:
        if not isinstance(observation_space, spaces.Box):
            raise ValueError(
                f"observation_space={observation_space}: StandardizedExtractor reads a Box; use SB3's for others"
            )
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.least_deviation = least_deviation
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def calibrate(self, batches: Iterable[npt.NDArray[Any]]) -> None:
        """Take mean and deviation of observations, such as random actions show, in batches (n, ...).

        Raises:
            ValueError: they are fewer than 2 in all, of another size, or all the same.
        """
        size = len(self.mean)
        found = RunningMeanStd(epsilon=0.0, shape=(size,))
        for batch in batches:
            seen = np.asarray(batch, np.float64).reshape(len(batch), -1)
            if seen.shape[1] != size:
                raise ValueError(f"observations of shape {seen.shape}: expected (n, {size})")
            found.update(seen)
        if found.count < 2:
            raise ValueError(f"{found.count:.0f} observations: expected 2 or more")
        deviation = torch.as_tensor(np.sqrt(found.var))
        if not deviation.max() > 0:
            raise ValueError("observations are all the same: there is nothing to standardise by")
        self.mean.copy_(torch.as_tensor(found.mean))
        self.deviation.copy_(deviation.clamp_min(self.least_deviation * deviation.max()))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, features_dim)."""
        return (observations.flatten(1).to(self.mean.dtype) - self.mean) / self.deviation
