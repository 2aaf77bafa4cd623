"""Types of settings beyond Python's own."""

from __future__ import annotations

import json
from typing import Annotated, Any

import tyro

from expirespan.parameters import SomeSteps, Steps


def _whole(text: list[str]) -> int:
    number = float(text[0])
    if not number.is_integer():
        raise ValueError(f"{text[0]!r} is not a whole number")
    return int(number)


_WHOLE = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="INT",
    instance_from_str=_whole,
    is_instance=lambda value: isinstance(value, int),
    str_from_instance=lambda value: [str(value)],
)
Count = Annotated[Steps, _WHOLE]
"""A whole number of steps or updates, which may be written 1e6."""
CountOrNone = Annotated[SomeSteps, _WHOLE]
"""The same, or 0."""


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _by_name(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if text.lstrip().startswith("{"):
            given = json.loads(text)
            found |= given
        elif equals and name.isidentifier():
            found[name] = _value(value)
        else:
            raise ValueError(
                f"{text!r} is neither JSON, such as '{{\"size\": 5}}', nor NAME=VALUE, such as size=5"
            )
    return found


ByName = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE | JSON",
        instance_from_str=_by_name,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [f"{name}={json.dumps(item)}" for name, item in value.items()],
    ),
]
"""Values by name: NAME=VALUE, each value JSON or a text, or one JSON object."""
