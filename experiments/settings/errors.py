"""User errors: printed as one paragraph, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from expirespan.quoting import VALUE, shortened, shown


class UserError(Exception):
    """Its message names the value, says what is expected and what to do."""


def unknown(what: str, value: object, known: Iterable[str], then: str = "") -> UserError:
    """The error for a name that is not among those known, with the nearest of them."""
    names = list(known)
    text = shortened(value, VALUE) if isinstance(value, str) else shown(value)
    close = difflib.get_close_matches(text, names, 1, 0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    expected = f"{hint}expected one of {', '.join(names)}"
    return UserError(f"unknown {what} {shown(value)}: {expected}{then and '; ' + then}")
