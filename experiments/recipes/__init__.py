"""Recipes: named settings with where they come from and what to expect of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from expirespan import plugins
from expirespan.experiments.recipes import corridor, instruction, own, portal, tasks, tmaze
from expirespan.experiments.recipes.recipe import Recipe
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.options import parse_config
from expirespan.plugins import check_plugin, load_plugin

__all__ = ["RECIPES", "Recipe", "configured", "find_recipe"]

RECIPES: dict[str, Recipe] = dict(
    (*corridor.RECIPES, *tmaze.RECIPES, *instruction.RECIPES, *portal.RECIPES, *tasks.RECIPES, *own.RECIPES)
)
"""Every recipe by name. Those of plugins come in when they are first asked for."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, of this package or of a plugin.

    Raises:
        UserError: there is none, or its plugin cannot be used.
    """
    if name not in RECIPES:
        try:
            found = load_plugin(plugins.RECIPES, name)
            if found is not None:
                check_plugin(
                    plugins.RECIPES, name, isinstance(found, Recipe), "an expirespan.experiments.Recipe"
                )
                RECIPES[name] = replace(found, config=replace(found.config, recipe=name))
        except plugins.PluginError as error:
            raise UserError(f"recipe {error}") from error
    if name not in RECIPES:
        known = [*RECIPES, *plugins.plugins(plugins.RECIPES)]
        raise unknown("recipe", name, known, "`expirespan train --help` describes them")
    return RECIPES[name]


def configured(name: str, options: Sequence[str]) -> Config:
    """The settings of a recipe with these options of `expirespan train`.

    Raises:
        UserError: there is no such recipe, an option is unknown, or a value does not fit.
    """
    return parse_config(find_recipe(name).config, list(options), f"expirespan train {name}", "")
