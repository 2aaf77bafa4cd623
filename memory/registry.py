"""Memories by name, as scripts and configuration files choose them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from expirespan.memory.core import Memory
from expirespan.memory.recurrent import GRUMemory, LSTMMemory
from expirespan.memory.rules.adaptive_span import AdaptiveSpan
from expirespan.memory.rules.compressive import Compressive
from expirespan.memory.rules.expire_span import ExpireSpan
from expirespan.memory.rules.fixed_window import FixedWindow
from expirespan.memory.rules.rule import Rule
from expirespan.memory.transformer import TransformerMemory

MEMORIES: dict[str, type[Rule] | type[Memory[Any]]] = {
    "expire_span": ExpireSpan,
    "fixed_window": FixedWindow,
    "adaptive_span": AdaptiveSpan,
    "compressive": Compressive,
    "lstm": LSTMMemory,
    "gru": GRUMemory,
}
"""A rule stands for a `TransformerMemory` under that rule."""


def _arguments(fn: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(fn).parameters) - {"self", "rule"}


def make_memory(name: str, **kwargs: Any) -> Memory[Any]:
    """Build a registered memory, e.g. ``make_memory("expire_span", width=64, max_span=256, ramp=16)``.

    Arguments of the rule and of `TransformerMemory` may be mixed; each goes where its name belongs.
    Raises ValueError for an unknown name, TypeError for an argument that neither takes or that is missing.
    """
    if name not in MEMORIES:
        raise ValueError(f"unknown memory {name!r}; choose one of {', '.join(MEMORIES)}")
    kind = MEMORIES[name]
    own = _arguments(kind)
    allowed = own | _arguments(TransformerMemory) if issubclass(kind, Rule) else own
    unknown = sorted(set(kwargs) - allowed)
    if unknown:
        raise TypeError(
            f"memory {name!r} takes no {', '.join(unknown)}; it takes {', '.join(sorted(allowed))}"
        )
    if not issubclass(kind, Rule):
        return kind(**kwargs)
    rule = kind(**{key: kwargs.pop(key) for key in own & set(kwargs)})
    return TransformerMemory(rule=rule, **kwargs)
