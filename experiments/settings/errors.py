"""User errors: printed as one paragraph, without a traceback."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

LONGEST = 200
"""Characters of a value in a message."""


class UserError(Exception):
    """Its message names the value, says what is expected and what to do."""


def unknown(what: str, value: object, known: Iterable[str], then: str = "") -> UserError:
    """The error for a name that is not among those known, with the nearest of them."""
    names = list(known)
    text = value if isinstance(value, str) else reprlib.repr(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    said = repr(text) if isinstance(value, str) else text
    close = difflib.get_close_matches(text, names, 1, 0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    expected = f"{hint}expected one of {', '.join(names)}"
    return UserError(f"unknown {what} {said}: {expected}{then and '; ' + then}")
