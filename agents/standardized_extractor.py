"""Features with mean 0 and deviation 1, by statistics taken once before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class StandardizedExtractor(BaseFeaturesExtractor):
    """A Box observation, flattened, minus a mean, divided by a deviation, entry by entry; both are buffers.

    What hardly varies (walls, in a one-hot view) otherwise makes up nearly all of an observation, and what matters is
    learned several times more slowly. Unlike `VecNormalize` nothing changes during training, and the numbers are part
    of the policy and of its files. Until `calibrate` is called they are 0 and 1.

    Use it as ``policy_kwargs=dict(features_extractor_class=StandardizedExtractor)``.

    Raises:
        ValueError: another observation space.
    """

    LEAST = 0.1
    """Deviations count as at least this share of the largest, or what is rare would outweigh all else."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        if not isinstance(observation_space, spaces.Box):
            raise ValueError(
                f"observation_space={observation_space}: StandardizedExtractor reads a Box; use SB3's for others"
            )
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def calibrate(self, observations: npt.NDArray[Any]) -> None:
        """Take mean and deviation of observations (n, ...), n >= 2, such as random actions show.

        Raises:
            ValueError: they are fewer, of another size, or all the same.
        """
        seen = torch.as_tensor(np.asarray(observations, np.float64)).flatten(1)
        if len(seen) < 2 or seen.shape[1] != len(self.mean):
            raise ValueError(
                f"observations of shape {tuple(seen.shape)}: expected (n, {len(self.mean)}), n >= 2"
            )
        deviation, mean = torch.std_mean(seen, 0, correction=0)
        if not deviation.max() > 0:
            raise ValueError("observations are all the same: there is nothing to standardise by")
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(self.LEAST * deviation.max()))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, features_dim)."""
        return (observations.flatten(1).to(self.mean.dtype) - self.mean) / self.deviation
