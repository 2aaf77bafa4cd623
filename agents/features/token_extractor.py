"""Features of one line of text: its words' embeddings, side by side, through one linear map."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from expirespan.parameters import Features
from expirespan.ranges import checked

__all__ = ["TokenExtractor"]


EMBEDDING_SCALE = 0.3
"""Size at which embeddings begin: at PyTorch's 1 they hardly move, and take several times the samples."""


class TokenExtractor(BaseFeaturesExtractor):
    """Embeddings E of a line's L tokens, concatenated, times a matrix: features = W (E[token_1], ..., E[token_L]) + b.

    A word in another place has other weights in W, so the features show who does what to whom. What several places
    have in common is learned in E. Token 0 is no word and adds nothing, so a line's features do not depend on how far
    it is filled up. A sum of embeddings (each times a vector for its place, as in End-To-End Memory Networks) was tried
    and needs about four times the samples to learn which of four offers was asked for.

    Use it as ``policy_kwargs=dict(features_extractor_class=TokenExtractor)``.

    Args:
        observation_space: ``Box(0, V - 1, (L,))`` of an integer type.
        features_dim: length of the features.
        embedding_dim: length of a word's embedding.

    Raises:
        ValueError: another observation space.
    """

    @checked
    def __init__(
        self, observation_space: spaces.Space[Any], features_dim: Features = 128, embedding_dim: Features = 16
    ) -> None:
        if not (
            isinstance(observation_space, spaces.Box)
            and len(observation_space.shape) == 1
            and np.issubdtype(observation_space.dtype, np.integer)
            and (observation_space.low == 0).all()
        ):
            raise ValueError(
                f"observation_space={observation_space}: TokenExtractor reads one line of tokens, "
                "a Box(0, V - 1, (L,)) of an integer type; use SB3's extractors for anything else"
            )
        super().__init__(observation_space, features_dim)
        (length,) = observation_space.shape
        self.embedding = nn.Embedding(int(observation_space.high.max()) + 1, embedding_dim, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(EMBEDDING_SCALE)
        self.linear = nn.Linear(length * embedding_dim, features_dim)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features (B, features_dim) of tokens (B, L), which SB3 passes as floats."""
        features: torch.Tensor = self.linear(self.embedding(observations.long()).flatten(-2))
        return features
