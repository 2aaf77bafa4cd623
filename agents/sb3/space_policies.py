"""Memory policies for images and for Dict observations."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, NatureCNN

from expirespan.agents.core.policies import MemoryActorCriticPolicy

__all__ = ["MemoryActorCriticCnnPolicy", "MemoryMultiInputActorCriticPolicy"]


class MemoryActorCriticCnnPolicy(MemoryActorCriticPolicy):
    """For image observations: NatureCNN features."""

    def __init__(
        self,
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)


class MemoryMultiInputActorCriticPolicy(MemoryActorCriticPolicy):
    """For Dict observations: SB3's CombinedExtractor."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = CombinedExtractor,
        **kwargs: Any,
    ) -> None:
        if features_extractor_class is CombinedExtractor and not isinstance(observation_space, spaces.Dict):
            raise ValueError(
                f"MultiInputPolicy is for Dict observations, and observation_space is {observation_space}; "
                "use MlpPolicy or CnnPolicy"
            )
        super().__init__(
            observation_space, *args, features_extractor_class=features_extractor_class, **kwargs
        )
