"""Features of images of any size, alone or among other observations."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN
from torch import nn

from expirespan.parameters import Channels, Features
from expirespan.ranges import checked, require

LEAST_SIDE = 36
"""Pixels of the shorter side from which on NatureCNN's kernels fit into an image."""


class SmallCNN(BaseFeaturesExtractor):
    """Features of an image (channels, height, width) of any size, for those that are too small for NatureCNN.

    Two layers of 3 x 3 kernels that keep height and width, a linear map, and a norm over the features. Without biases
    at the start the norm takes the size of the numbers out: MiniGrid's images hold kinds and colours from 0 to 10, a
    twenty-fifth of a byte's range.

    Args:
        observation_space: a Box with three axes.
        features_dim: length of the features.
        channels: of both layers.
        normalized_image: as in SB3; makes no difference.

    Raises:
        ValueError: another observation space, or lengths below 1.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space[Any],
        features_dim: Features = 128,
        channels: Channels = 32,
        normalized_image: bool = False,
    ) -> None:
        shape = observation_space.shape if isinstance(observation_space, spaces.Box) else None
        require(
            shape is not None and len(shape) == 3,
            "observation_space",
            observation_space,
            "a Box with three axes",
        )
        super().__init__(observation_space, features_dim)
        assert observation_space.shape is not None
        first, height, width = observation_space.shape
        one, two = (nn.Conv2d(size, channels, 3, padding=1) for size in (first, channels))
        linear = nn.Linear(channels * height * width, features_dim)
        layers: list[nn.Conv2d | nn.Linear] = [one, two, linear]
        for layer in layers:
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.layers = nn.Sequential(
            one,
            nn.ReLU(),
            two,
            nn.ReLU(),
            nn.Flatten(),
            linear,
            nn.LayerNorm(features_dim, eps=1e-12),
            nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, features_dim)."""
        features: torch.Tensor = self.layers(observations)
        return features


class PartsExtractor(BaseFeaturesExtractor):
    """Features of a Dict's parts side by side, as SB3's `CombinedExtractor`, for images of any size and any names.

    Images go through NatureCNN or, if they are small, `SmallCNN`; all else is flattened.

    Args:
        observation_space: a Dict that is not nested.
        cnn_output_dim: length of an image's features.
        normalized_image: as in SB3, whether every Box with three axes is an image.
    """

    @checked
    def __init__(
        self, observation_space: spaces.Dict, cnn_output_dim: Features = 256, normalized_image: bool = False
    ) -> None:
        self.names = list(observation_space.spaces)
        parts: list[nn.Module] = []
        size = 0
        for space in observation_space.spaces.values():
            if is_image_space(space, normalized_image=normalized_image):
                kind = SmallCNN if is_small_image(space, normalized_image) else NatureCNN
                parts.append(kind(space, cnn_output_dim, normalized_image=normalized_image))
                size += cnn_output_dim
            else:
                parts.append(nn.Flatten())
                size += get_flattened_obs_dim(space)
        super().__init__(observation_space, size)
        self.parts = nn.ModuleList(parts)

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, features_dim)."""
        return torch.cat(
            [part(observations[name]) for name, part in zip(self.names, self.parts, strict=True)], 1
        )


def is_small_image(space: spaces.Space[Any], normalized_image: bool = False) -> bool:
    """Whether a space, with channels first, is of images that NatureCNN's kernels do not fit into."""
    return (
        is_image_space(space, normalized_image=normalized_image) and min((space.shape or ())[1:]) < LEAST_SIDE
    )


def fits_combined_extractor(space: spaces.Dict, normalized_image: bool = False) -> bool:
    """Whether SB3's CombinedExtractor can read a Dict: it has no small images, and names that PyTorch takes."""
    empty = nn.ModuleDict()
    names = all(
        isinstance(name, str) and name and "." not in name and not hasattr(empty, name)
        for name in space.spaces
    )
    return names and not any(is_small_image(part, normalized_image) for part in space.spaces.values())
