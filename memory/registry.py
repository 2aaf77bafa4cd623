"""Memories by name, as scripts and configuration files choose them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection
from typing import Any

from expirespan import plugins
from expirespan.memory.core import Memory
from expirespan.memory.recurrent import GRUMemory, LSTMMemory
from expirespan.memory.rules.adaptive_span import AdaptiveSpan
from expirespan.memory.rules.compressive import Compressive
from expirespan.memory.rules.expire_span import ExpireSpan
from expirespan.memory.rules.fixed_window import FixedWindow
from expirespan.memory.rules.rule import Rule
from expirespan.memory.transformer import TransformerMemory
from expirespan.plugins import check_plugin, load_plugin

MEMORIES: dict[str, type[Rule] | type[Memory[Any]]] = {
    "expire_span": ExpireSpan,
    "fixed_window": FixedWindow,
    "adaptive_span": AdaptiveSpan,
    "compressive": Compressive,
    "lstm": LSTMMemory,
    "gru": GRUMemory,
}
"""A rule stands for a `TransformerMemory` under that rule. Those of plugins come in when they are first asked for."""


def memory_class(name: str) -> type[Rule] | type[Memory[Any]]:
    """The rule or memory of that name, of this package or of a plugin (`expirespan.plugins`).

    Raises:
        ValueError: there is none of that name, or its plugin cannot be used.
    """
    if name not in MEMORIES:
        found = load_plugin(plugins.MEMORIES, name)
        if found is None:
            known = [*MEMORIES, *plugins.plugins(plugins.MEMORIES)]
            raise ValueError(
                f"unknown memory {name!r}; choose one of {', '.join(known)}{nearest([name], known)}"
            )
        fits = isinstance(found, type) and issubclass(found, (Rule, Memory))
        check_plugin(plugins.MEMORIES, name, fits, "a subclass of expirespan.memory.Rule or Memory")
        MEMORIES[name] = found
    return MEMORIES[name]


def _arguments(fn: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(fn).parameters) - {"self", "rule"}


def known_arguments(name: str) -> set[str]:
    """Names of the arguments that `make_memory` takes for a memory.

    Raises:
        ValueError: there is no memory of that name.
    """
    kind = memory_class(name)
    return _arguments(kind) | (_arguments(TransformerMemory) if issubclass(kind, Rule) else set())


def nearest(given: Collection[Any], known: Collection[str]) -> str:
    """``; the nearest name is ...`` for names that are not known, in words for the end of an error; may be empty."""
    found = [match for name in given for match in difflib.get_close_matches(str(name), known, 1)]
    return (
        f"; the nearest {'name is' if len(found) == 1 else 'names are'} {', '.join(found)}" if found else ""
    )


def check_names(what: str, given: Collection[Any], known: Collection[str]) -> None:
    """Raise TypeError if names are given that are not known; ``what`` takes them, in words."""
    unknown = sorted(set(given) - set(known), key=str)
    if unknown:
        listed = f"it takes {', '.join(sorted(known))}" if known else "it takes nothing by name"
        raise TypeError(f"{what} takes no {', '.join(map(str, unknown))}; {listed}{nearest(unknown, known)}")


def make_memory(name: str, **kwargs: Any) -> Memory[Any]:
    """Build a registered memory, e.g. ``make_memory("expire_span", width=64, max_span=256, ramp=16)``.

    ``name`` may be that of an installed plugin. Arguments of the rule and of `TransformerMemory` may be mixed; each
    goes where its name belongs.
    Raises ValueError for an unknown name, TypeError for an argument that neither takes or that is missing.
    """
    check_names(f"memory {name!r}", kwargs, known_arguments(name))
    kind = memory_class(name)
    if not issubclass(kind, Rule):
        return kind(**kwargs)
    rule = kind(**{key: kwargs.pop(key) for key in _arguments(kind) & set(kwargs)})
    return TransformerMemory(rule=rule, **kwargs)
