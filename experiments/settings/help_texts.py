"""Help texts of settings: the text under each, and what its declaration accepts."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any

from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from expirespan.ranges import accepted

registry = ConstructorRegistry()
"""Lets tyro add the ranges of settings to their help."""
_within: list[Any] = []


@registry.struct_rule
def _with_ranges(info: StructTypeInfo) -> StructConstructorSpec | None:
    if not is_dataclass(info.type) or info.type in _within:
        return None
    _within.append(info.type)
    try:
        spec = ConstructorRegistry.get_struct_spec(info)  # by tyro's own rules, as this one is left out
    finally:
        _within.pop()
    if not isinstance(spec, StructConstructorSpec):
        return None
    return replace(spec, fields=tuple(map(_with_range, spec.fields)))


def _with_range(item: StructFieldSpec) -> StructFieldSpec:
    words, text = accepted(item.type), item.helptext
    if not words:
        return item

    def described() -> str:
        said = (text() if callable(text) else text) or ""
        return f"{said} Accepts {words}.".lstrip()

    return replace(item, helptext=described)
