"""Features of one line of text: a learned bag of words that keeps their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

__all__ = ["TokenExtractor"]


class TokenExtractor(BaseFeaturesExtractor):
    """Token embeddings, each times a vector for its position, summed over the line.

        feature_k = sum_l E[token_l]_k * P_lk / sqrt(L),   P_lk at first = (1 - l/L) - (k/D) (1 - 2 l/L)

    with L positions, D features, l and k counted from 1: the position encoding of End-To-End Memory Networks
    (Sukhbaatar et al. 2015, arXiv 1503.08895, section 4.1), here learned further. Token 0 is no word and adds nothing,
    so a line's features do not depend on how far it is filled up.

    Use it as ``policy_kwargs=dict(features_extractor_class=TokenExtractor)``.

    Args:
        observation_space: ``Box(0, V - 1, (L,))`` of an integer type.
        features_dim: D.

    Raises:
        ValueError: another observation space.
    """

    def __init__(self, observation_space: spaces.Space[Any], features_dim: int = 128) -> None:
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
        self.embedding = nn.Embedding(int(observation_space.high.max()) + 1, features_dim, padding_idx=0)
        place = torch.arange(1, length + 1)[:, None] / length
        feature = torch.arange(1, features_dim + 1) / features_dim
        self.position = nn.Parameter((1 - place) - feature * (1 - 2 * place))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features (B, D) of tokens (B, L), which SB3 passes as floats."""
        words: torch.Tensor = self.embedding(observations.long())
        features: torch.Tensor = (words * self.position).sum(dim=-2) / len(self.position) ** 0.5
        return features
