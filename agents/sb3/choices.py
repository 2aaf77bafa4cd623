"""Policy and extractor for actions that the observation describes: their descriptions give their scores."""

from __future__ import annotations

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn

from expirespan.agents.core.policies import MemoryActorCriticPolicy
from expirespan.agents.core.steps import full_precision, unchecked
from expirespan.agents.features.token_extractor import TokenExtractor
from expirespan.parameters import Features, Number, Place
from expirespan.ranges import checked, require

__all__ = ["ChoiceExtractor", "MemoryChoicePolicy"]


class ChoiceExtractor(TokenExtractor):
    """Features of a line of text, then of what it is about, then of each of the C choices it may describe.

    What some words are about is a linear map of the sum of their embeddings, ``choice_dim`` numbers: the same map for
    the whole line and for choice i, the ``words`` tokens from ``first + i * words`` on. So a line and a choice that
    speak of the same things look alike from the first, which cuts the samples that learning to match them takes by
    more than half. The rest is `TokenExtractor`'s, ``features_dim`` numbers.

    Args:
        observation_space: ``Box(0, V - 1, (L,))`` of an integer type.
        first: place of the first choice's first word, counted from 0.
        choices: C, how many.
        words: words of each.
        features_dim: length of `TokenExtractor`'s features.
        embedding_dim: length of a word's embedding.
        choice_dim: length of the features of what words are about.

    Raises:
        ValueError: another observation space, or the choices do not fit into a line.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space[Any],
        first: Place = 0,
        choices: Number = 2,
        words: Number = 1,
        features_dim: Features = 128,
        embedding_dim: Features = 16,
        choice_dim: Features = 32,
    ) -> None:
        super().__init__(observation_space, features_dim, embedding_dim)
        length = (observation_space.shape or (0,))[0]
        require(
            first + choices * words <= length,
            "choices",
            choices,
            f"at most {(length - first) // words}, for {words} words each from token {first} to {length - 1}",
        )
        self.first, self.choices, self.words, self.choice_dim = first, choices, words, choice_dim
        self.about = nn.Linear(embedding_dim, choice_dim)
        self._features_dim = features_dim + (1 + choices) * choice_dim

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """(B, L) tokens -> (B, features_dim + (1 + C) * choice_dim)."""
        words = self.embedding(observations.long())
        offered = words[:, self.first : self.first + self.choices * self.words]
        choices = offered.unflatten(1, (self.choices, self.words)).sum(2)
        about = self.about(th.cat([words.sum(1, keepdim=True), choices], 1))
        return th.cat([self.linear(words.flatten(-2)), about.flatten(-2)], -1)


class MemoryChoicePolicy(MemoryActorCriticPolicy):
    """A memory policy for discrete actions of which the last C are described by the present observation.

    The logit of such an action is that of a usual head plus <query, features of its description>, with a query computed
    from the memory's answer: so what is learned of one choice holds for all of them, wherever they stand (the scores of
    He et al. 2016, arXiv 1511.04636, between state and action texts). Without it each of the products between what is
    remembered and what is offered must be learned by itself, which took far more samples.

    Use it as ``MemoryPPO("ChoicePolicy", env, policy_kwargs=dict(features_extractor_kwargs=dict(first=2, choices=4,
    words=5)))``. All other arguments are those of `MemoryActorCriticPolicy`.

    Raises:
        ValueError: the actions are not discrete or fewer than the choices, or the extractor is no `ChoiceExtractor`.
    """

    features_extractor: ChoiceExtractor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = ChoiceExtractor,
        **kwargs: Any,
    ) -> None:
        require(
            isinstance(action_space, spaces.Discrete),
            "action_space",
            action_space,
            "Discrete for ChoicePolicy",
        )
        require(
            issubclass(features_extractor_class, ChoiceExtractor),
            "features_extractor_class",
            features_extractor_class,
            "a ChoiceExtractor, which ChoicePolicy reads the choices from",
        )
        super().__init__(
            observation_space,
            action_space,
            *args,
            features_extractor_class=features_extractor_class,
            **kwargs,
        )

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        require(self.share_features_extractor, "share_features_extractor", False, "True for ChoicePolicy")
        actions, extractor = int(self.action_space.n), self.features_extractor  # type: ignore[attr-defined]
        require(extractor.choices <= actions, "choices", extractor.choices, f"at most the {actions} actions")
        self.query = nn.Linear(self.mlp_extractor.latent_dim_pi, extractor.choice_dim)

    def _encode(self, obs: PyTorchObs) -> th.Tensor:
        """The encoding for the memory, and after it the choices."""
        features = self.extract_features(obs)
        assert isinstance(features, th.Tensor)
        extractor = self.features_extractor
        return th.cat([self.encoder(features), features[:, -extractor.choices * extractor.choice_dim :]], -1)

    def _for_memory(self, x: th.Tensor) -> th.Tensor:
        return x[..., : self.memory.width]

    def _for_heads(self, x: th.Tensor, y: th.Tensor) -> th.Tensor:
        width = self.memory.width
        return th.cat([x[..., :width] + y, x[..., width:]], -1)

    def distribution(self, y: th.Tensor) -> Distribution:
        """Action distribution for what `_for_heads` gives."""
        extractor, width = self.features_extractor, self.memory.width
        with full_precision(y) as y:
            latent_pi = self.mlp_extractor.forward_actor(y[:, :width])
            choices = y[:, width:].unflatten(-1, (extractor.choices, extractor.choice_dim))
            scores = (choices @ self.query(latent_pi)[..., None])[..., 0]
            logits = self.action_net(latent_pi)
        others = logits.shape[-1] - extractor.choices
        logits = th.cat([logits[:, :others], logits[:, others:] + scores], -1)
        distribution = CategoricalDistribution(logits.shape[-1])
        return unchecked(lambda: distribution.proba_distribution(logits))

    def values(self, y: th.Tensor) -> th.Tensor:
        """Values (n, 1) for what `_for_heads` gives."""
        return super().values(y[:, : self.memory.width])
