"""Recipes for sequence tasks: named settings with where they come from and what to expect of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from expirespan.experiments.sequence.config import CharLMTask, CollisionTask, CopyTask, SequenceConfig
from expirespan.experiments.settings import ExpireSpanSettings

PAPER = "Sukhbaatar et al. 2021, arXiv 2105.06548"


@dataclass(frozen=True)
class SequenceRecipe:
    """``summary`` and ``expected`` score are for people; ``source`` is where task and settings come from."""

    summary: str
    source: str
    expected: str
    config: SequenceConfig


_MEMORY = ExpireSpanSettings(max_span=2048, ramp=16, init_fraction=0.9, heads=2)
_SMALL = SequenceConfig(memory=_MEMORY, span_penalty=1e-6)

RECIPES: dict[str, SequenceRecipe] = {
    "copy": SequenceRecipe(
        "repeat 4 symbols after 1,000 steps of noise",
        f"the copy task of {PAPER}, smaller",
        "1.000 (chance 0.125) with about 80 memories alive per layer",
        replace(
            _SMALL,
            recipe="copy",
            task=CopyTask(),
            memory=replace(_MEMORY, ramp=64),
            block=128,
            updates=1000,
            evaluate_every=200,
        ),
    ),
    "collision": SequenceRecipe(
        "in which quarter did a pair of colours meet last?",
        f"object collision of {PAPER}, smaller",
        "0.43 in episodes of 2,048 steps, see docs/sequences.md (chance 0.25)",
        replace(_SMALL, recipe="collision", task=CollisionTask(), block=128),
    ),
    "charlm": SequenceRecipe(
        "the next byte of a text; give one with --task.text PATH",
        f"enwik8 of {PAPER}, smaller",
        "3.56 bits per byte of Python sources after 300 updates, at max-span 256 and learning-rate 3e-3",
        replace(_SMALL, recipe="charlm", task=CharLMTask(), block=128),
    ),
}
"""Every recipe by name."""
