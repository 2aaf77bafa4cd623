"""Agents on stable-baselines3 whose policy reads its history through a memory."""

from expirespan.agents.a2c import MemoryA2C
from expirespan.agents.base.histogram import Histogram
from expirespan.agents.core.distributions import divergence, probabilities
from expirespan.agents.core.masks import allowed_action, vector_action_masks
from expirespan.agents.core.policies import MemoryActorCriticPolicy
from expirespan.agents.core.steps import PolicyStep, rescaled
from expirespan.agents.export import DeployedPolicy, export_onnx
from expirespan.agents.features.images import SmallCNN, is_small_image
from expirespan.agents.features.standardized_extractor import StandardizedExtractor
from expirespan.agents.features.token_extractor import TokenExtractor
from expirespan.agents.forgetting.lesson import Forgetting
from expirespan.agents.forgetting.penalty import (
    AdaptivePenalty,
    ConstantPenalty,
    PenaltySchedule,
    WarmupPenalty,
)
from expirespan.agents.forgetting.plateau import PlateauPenalty
from expirespan.agents.ppo import MemoryPPO
from expirespan.agents.pretrained.card import Card, CardScore
from expirespan.agents.pretrained.shelf import load_card, load_pretrained, pretrained_names
from expirespan.agents.sb3.choices import ChoiceExtractor, MemoryChoicePolicy
from expirespan.agents.sb3.evaluation import MemoryEvalCallback, evaluate_policy
from expirespan.agents.sb3.vec_env import SB3VecEnv
from expirespan.agents.workers import Workers, WorkersError
from expirespan.agents.zoo import register_zoo

__all__ = [
    "AdaptivePenalty",
    "Card",
    "CardScore",
    "ChoiceExtractor",
    "ConstantPenalty",
    "DeployedPolicy",
    "Forgetting",
    "Histogram",
    "MemoryA2C",
    "MemoryActorCriticPolicy",
    "MemoryChoicePolicy",
    "MemoryEvalCallback",
    "MemoryPPO",
    "PenaltySchedule",
    "PlateauPenalty",
    "PolicyStep",
    "SB3VecEnv",
    "SmallCNN",
    "StandardizedExtractor",
    "TokenExtractor",
    "WarmupPenalty",
    "Workers",
    "WorkersError",
    "allowed_action",
    "divergence",
    "evaluate_policy",
    "export_onnx",
    "is_small_image",
    "load_card",
    "load_pretrained",
    "pretrained_names",
    "probabilities",
    "register_zoo",
    "rescaled",
    "vector_action_masks",
]
