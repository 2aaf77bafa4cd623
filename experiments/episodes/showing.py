"""How an environment's observations are shown: drawn, said in words, or rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expirespan.experiments.episodes.frames import ImageOf
from expirespan.experiments.making.registered import creator, metadata_of, spec_of
from expirespan.experiments.settings import Env

WordsOf = Callable[[Any], str]
"""Says what one observation shows."""


def image_of(env: Env) -> ImageOf | None:
    """What draws an observation of the environment, or None if it cannot be drawn."""
    drawer: ImageOf | None = getattr(creator(spec_of(env).entry_point), "observation_image", None)
    if drawer is None or env.frame_stack == 1:
        return drawer
    return lambda observation: drawer(observation[-1])  # the newest of those stacked


def words_of(env: Env) -> WordsOf | None:
    """What says in words what an observation of the environment shows, or None if nothing does."""
    found: WordsOf | None = getattr(creator(spec_of(env).entry_point), "observation_words", None)
    if found is None or env.frame_stack == 1:
        return found
    return lambda observation: found(observation[-1])  # the newest of those stacked


def render_mode(env: Env) -> str | None:
    """``rgb_array`` if pictures of the environment can be had and nothing else draws what is observed."""
    modes = metadata_of(spec_of(env).entry_point).get("render_modes", [])
    return "rgb_array" if image_of(env) is None and "rgb_array" in modes else None
