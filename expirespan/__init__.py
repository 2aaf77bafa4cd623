"""Reinforcement-learning agents that learn what to remember, for how long, and what to forget.

`expirespan.memory`, `expirespan.agents`, `expirespan.envs` and `expirespan.experiments` are imported by name.
"""

from __future__ import annotations

from typing import Any

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """``__version__``, which is looked up when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("expirespan")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
