"""Agents on stable-baselines3 whose policy reads its history through a memory."""

from expirespan.agents.a2c import MemoryA2C
from expirespan.agents.choices import ChoiceExtractor, MemoryChoicePolicy
from expirespan.agents.forgetting import Forgetting
from expirespan.agents.histogram import Histogram
from expirespan.agents.penalty import AdaptivePenalty, ConstantPenalty, PenaltySchedule, WarmupPenalty
from expirespan.agents.policies import MemoryActorCriticPolicy
from expirespan.agents.ppo import MemoryPPO
from expirespan.agents.standardized_extractor import StandardizedExtractor
from expirespan.agents.steps import PolicyStep
from expirespan.agents.token_extractor import TokenExtractor
from expirespan.agents.vec_env import SB3VecEnv

__all__ = [
    "AdaptivePenalty",
    "ChoiceExtractor",
    "ConstantPenalty",
    "Forgetting",
    "Histogram",
    "MemoryA2C",
    "MemoryActorCriticPolicy",
    "MemoryChoicePolicy",
    "MemoryPPO",
    "PenaltySchedule",
    "PolicyStep",
    "SB3VecEnv",
    "StandardizedExtractor",
    "TokenExtractor",
    "WarmupPenalty",
]
