"""Checkpoints: files that are whole or absent, hold data and no code, and let a run go on exactly where it stopped."""

from expirespan.agents.checkpoint.algorithm import CheckpointedAlgorithm
from expirespan.agents.checkpoint.files import Source
from expirespan.agents.checkpoint.policy import CheckpointedPolicy
from expirespan.agents.checkpoint.position import position_of
from expirespan.agents.checkpoint.weights import WeightsError

__all__ = ["CheckpointedAlgorithm", "CheckpointedPolicy", "Source", "WeightsError", "position_of"]
