"""Everything that uses the agents: recipes, command line, training, evaluation, tracking and pictures.

This module stays cheap to import: `train` is in ``expirespan.experiments.train``, `evaluate` in
``expirespan.experiments.evaluate``.
"""

from expirespan.experiments.config import Config
from expirespan.experiments.config_file import from_yaml, to_yaml
from expirespan.experiments.errors import UserError
from expirespan.experiments.recipes import RECIPES, Recipe
from expirespan.experiments.trace import EpisodeTrace

__all__ = ["RECIPES", "Config", "EpisodeTrace", "Recipe", "UserError", "from_yaml", "to_yaml"]
