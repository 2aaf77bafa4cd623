"""Settings of memories that plugins add: made from the arguments of their constructors."""

from __future__ import annotations

import inspect
from dataclasses import make_dataclass
from typing import Annotated, Any, ClassVar, get_type_hints

import tyro

from expirespan import plugins
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.memories import TransformerSettings
from expirespan.plugins import PluginError

WIDTH = 64
"""Default width of a memory that has none."""


def kinds_of(part: str, kinds: dict[str, Any], name: Any) -> dict[str, Any]:
    """``kinds`` of a part by name; with that of a plugin if ``part`` is the memory and the plugin adds one so called.

    Raises:
        UserError: the plugin cannot be used.
    """
    asked = part == "memory" and isinstance(name, str) and name not in kinds
    if asked and name in plugins.plugins(plugins.MEMORIES):
        kinds[name] = _settings(name)
    return kinds


def _settings(name: str) -> Any:
    from expirespan.memory import Rule
    from expirespan.memory.registry import memory_class  # slow

    try:
        kind = memory_class(name)
    except PluginError as error:
        raise UserError(f"memory {error}") from error
    is_rule = issubclass(kind, Rule)
    hints = get_type_hints(kind.__init__, include_extras=True)
    chosen = []
    for argument in list(inspect.signature(kind).parameters.values()):
        default = argument.default
        if argument.name == "width" and default is argument.empty:
            default = WIDTH
        if default is argument.empty or argument.name not in hints:
            entry = plugins.plugins(plugins.MEMORIES)[name]
            reason = f"argument {argument.name} of {kind.__name__} needs a type and a default to be a setting"
            raise UserError(f"memory {plugins.refused(entry, reason)}")
        help = tyro.conf.arg(help=f"Argument {argument.name} of {kind.__name__}.")
        chosen.append((argument.name, Annotated[hints[argument.name], help], default))
    made = make_dataclass(
        f"{kind.__name__}Settings",
        chosen,
        bases=(TransformerSettings,) if is_rule else (),
        namespace={"name": name, "__doc__": inspect.getdoc(kind) or name},
        frozen=True,
    )
    learns = is_rule and kind.span_parameters is not Rule.span_parameters  # type: ignore[union-attr]
    made.learns_spans = learns  # type: ignore[attr-defined]
    made.__annotations__ |= {"name": ClassVar[str]}
    return made
