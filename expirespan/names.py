"""Names in the objects of a file. A repeated name would have two values, so it is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from expirespan.quoting import shown


def check_once(names: Iterable[str]) -> None:
    """Check that no name is repeated.

    Raises:
        ValueError: a name is repeated; the message names it.
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
