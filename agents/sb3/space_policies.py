"""Memory policies for images and for Dict observations."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, NatureCNN

from expirespan.agents.core.policies import MemoryActorCriticPolicy
from expirespan.agents.features.images import (
    PartsExtractor,
    SmallCNN,
    fits_combined_extractor,
    is_small_image,
)

__all__ = ["MemoryActorCriticCnnPolicy", "MemoryMultiInputActorCriticPolicy"]


class NoImageError(ValueError, AssertionError):
    """An observation space that is not of images. Also what SB3 raises for it."""


def _normalized(kwargs: dict[str, Any]) -> bool:
    """Whether a policy's arguments say that images are normalised already."""
    given = kwargs.get("features_extractor_kwargs") or {}
    return not kwargs.get("normalize_images", True) or bool(given.get("normalized_image", False))


class MemoryActorCriticCnnPolicy(MemoryActorCriticPolicy):
    """For image observations: features of NatureCNN or, where images are too small for it, of `SmallCNN`."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN,
        **kwargs: Any,
    ) -> None:
        if features_extractor_class is NatureCNN:
            normalized = _normalized(kwargs)
            if not is_image_space(observation_space, normalized_image=normalized):
                raise NoImageError(
                    "CnnPolicy is for images, a Box(0, 255, (height, width, channels), uint8), and observation_space "
                    f"is {' '.join(str(observation_space).split())}; use MlpPolicy or, for images that are normalised "
                    "and have their channels first, policy_kwargs=dict(normalize_images=False)"
                )
            if is_small_image(observation_space, normalized):
                features_extractor_class = SmallCNN
        super().__init__(
            observation_space, *args, features_extractor_class=features_extractor_class, **kwargs
        )


class MemoryMultiInputActorCriticPolicy(MemoryActorCriticPolicy):
    """For Dict observations: features of SB3's CombinedExtractor or, where it cannot read them, `PartsExtractor`."""

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
        if (
            features_extractor_class is CombinedExtractor
            and isinstance(observation_space, spaces.Dict)
            and not fits_combined_extractor(observation_space, _normalized(kwargs))
        ):
            features_extractor_class = PartsExtractor
            given = kwargs.get("features_extractor_kwargs") or {}
            kwargs["features_extractor_kwargs"] = given | {"normalized_image": _normalized(kwargs)}
        super().__init__(
            observation_space, *args, features_extractor_class=features_extractor_class, **kwargs
        )
