"""Types of settings beyond Python's own."""

from __future__ import annotations

from typing import Annotated

import tyro


def _whole(text: list[str]) -> int:
    number = float(text[0])
    if number != int(number):
        raise ValueError(f"{text[0]!r} is not a whole number")
    return int(number)


Count = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=_whole,
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""An int that may be written 1e6."""
