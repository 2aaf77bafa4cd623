"""Recipes: named settings with where they come from and what to expect of them."""

from __future__ import annotations

from expirespan.experiments.recipes import corridor, instruction, own, portal, tasks, tmaze
from expirespan.experiments.recipes.recipe import Recipe
from expirespan.experiments.settings.errors import unknown

__all__ = ["RECIPES", "Recipe", "find_recipe"]

RECIPES: dict[str, Recipe] = dict(
    (*corridor.RECIPES, *tmaze.RECIPES, *instruction.RECIPES, *portal.RECIPES, *tasks.RECIPES, *own.RECIPES)
)
"""Every recipe by name."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, "`expirespan train --help` describes them")
    return RECIPES[name]
