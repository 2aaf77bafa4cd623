"""Everything that uses the agents: recipes, command line, training, evaluation, tracking and pictures.

This module stays cheap to import: `train` is in ``expirespan.experiments.training.train``, `evaluate` in
``expirespan.experiments.evaluation.evaluate``.
"""

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.recipes import RECIPES, Recipe
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.config_file import from_yaml, to_yaml
from expirespan.experiments.settings.errors import UserError

__all__ = ["RECIPES", "Config", "EpisodeTrace", "Recipe", "UserError", "from_yaml", "to_yaml"]
