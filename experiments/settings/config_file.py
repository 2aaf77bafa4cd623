"""A `Config` as plain YAML, and back."""

from __future__ import annotations

import contextlib
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from expirespan.experiments.settings import KINDS, Config, Kinds, texts
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.quoting import shown
from expirespan.ranges import accepted

C = TypeVar("C")


def to_dict(part: Any) -> dict[str, Any]:
    """Settings as plain values; parts of several kinds begin with their ``name``."""
    named = {"name": part.name} if hasattr(part, "name") else {}
    values = {item.name: getattr(part, item.name) for item in fields(part)}
    return named | {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    return list(value) if isinstance(value, tuple) else value


def to_yaml(config: Any) -> str:
    """YAML of plain values in the order of the fields."""
    text: str = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    return text


def from_yaml(text: str, source: str = "the configuration") -> Config:
    """Inverse of `to_yaml` for a `Config`; settings that are left out take their defaults."""
    return parse_yaml(text, source, Config, KINDS)


def parse_yaml(text: str, source: str, kind: type[C], kinds: Kinds) -> C:
    """The settings of class ``kind`` in YAML; ``kinds``: of its parts, by name.

    Raises:
        UserError: no YAML, or an unknown setting, kind or value; the message names it and ``source``.
    """
    try:
        data = texts.parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{source} is not YAML: {error}") from None
    return from_dict(data if data is not None else {}, source, kind, kinds)


def from_dict(data: Any, source: str, kind: type[C], kinds: Kinds) -> C:
    """Inverse of `to_dict`; settings that are left out take their defaults.

    Raises:
        UserError: an unknown setting, kind or value; the message names it and ``source``.
    """
    try:
        config: C = _read(kind, data, "", kinds)
        check_settings(config)
    except UserError as error:
        raise UserError(f"in {source}: {error}") from None
    return config


def read_config(path: Path) -> Config:
    """The configuration in a file."""
    return read_settings(path, Config, KINDS)


def read_settings(path: Path, kind: type[C], kinds: Kinds) -> C:
    """The settings of class ``kind`` in a file."""
    return parse_yaml(texts.read_text(path, texts.MOST_SETTINGS), str(path), kind, kinds)


def _read(kind: Any, value: Any, where: str, kinds: Kinds) -> Any:
    """The value at ``where`` as an instance of ``kind``: a dataclass, a union, a Literal or a plain type."""
    words = accepted(kind)
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if where in kinds:
        return _read_part(where, value, kinds)
    if is_dataclass(kind):
        return _read_fields(kind, value, where, kinds)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise unknown(where, value, get_args(kind))
        return value
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if items[-1] is Ellipsis and isinstance(value, (list, tuple)):
            items = items[:1] * len(value)
        if not isinstance(value, (list, tuple)) or len(value) != len(items):
            raise UserError(f"{where}={shown(value)}: expected a list of {len(items)}")
        return tuple(_read(item, part, where, kinds) for item, part in zip(items, value, strict=True))
    if get_origin(kind) in (Union, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        kind = next(option for option in get_args(kind) if option is not NoneType)
        return _read(kind, value, where, kinds)
    kind = get_origin(kind) or kind  # of dict[str, Any]
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            value = float(value)  # YAML takes 3e-4 for a text, and 1 for an int
    if isinstance(value, float) and math.isnan(value):
        raise UserError(f"{where}=nan: expected {words or 'a number'}")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(
            f"{where}={shown(value)}: expected {words or f'{kind.__name__}, not {type(value).__name__}'}"
        )
    return value


def _read_part(where: str, value: Any, kinds: Kinds) -> Any:
    if not isinstance(value, dict) or "name" not in value:
        names = ", ".join(kinds[where])
        raise UserError(f"{where}={shown(value)}: expected settings with a 'name', one of {names}")
    if not isinstance(value["name"], str) or value["name"] not in kinds[where]:
        raise unknown(where, value["name"], kinds[where])
    given = {key: item for key, item in value.items() if key != "name" and key not in _obsolete(where, value)}
    return _read_fields(kinds[where][value["name"]], given, where, kinds)


def _obsolete(where: str, value: dict[str, Any]) -> tuple[str, ...]:
    """Settings of version 0.1 that mean nothing, or something different, by now."""
    return ("softness", "tolerance") if where == "forgetting" and "softness" in value else ()


def _read_fields(kind: Any, value: Any, where: str, kinds: Kinds) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where or 'top level'}={shown(value)}: expected settings by name")
    prefix = f"{where}." if where else ""
    hints = get_type_hints(kind, include_extras=True)
    known = {item.name: item for item in fields(kind)}
    for name in value:
        if name not in known:
            raise unknown("setting", f"{prefix}{name}", [f"{prefix}{item}" for item in known])
    given = {name: _read(hints[name], item, f"{prefix}{name}", kinds) for name, item in value.items()}
    missing = [name for name, item in known.items() if name not in given and item.default is MISSING]
    missing = [name for name in missing if known[name].default_factory is MISSING]
    if missing:
        raise UserError(f"{prefix}{missing[0]} is missing")
    return kind(**given)
