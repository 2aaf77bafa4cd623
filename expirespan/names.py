"""Names in a file's objects: each stands once, or nobody could say which of its values is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from expirespan.quoting import shown


def check_once(names: Iterable[str]) -> None:
    """Do nothing if every name is another.

    Raises:
        ValueError: one stands there twice; it is named.
    """
    for name, number in Counter(names).items():
        if number > 1:
            raise ValueError(f"{shown(name, 60)} stands in it twice")


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of a JSON text, for ``json.loads(text, object_pairs_hook=object_of)``.

    Raises:
        ValueError: as `check_once`.
    """
    check_once(name for name, _ in pairs)
    return dict(pairs)
