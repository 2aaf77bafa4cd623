"""Values and other errors as parts of a message: on one line, and shortened where they are long.

What comes from a file or from somebody's environment can be of any length, and an error that quotes it as well.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable

VALUE, ERROR = 200, 600
"""Most characters of a value, and of what another error says."""

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = VALUE
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = 20


def shown(value: object, most: int = VALUE) -> str:
    """A value as its ``repr``. Of a large one only a part is looked at."""
    return shortened(_written(_REPR.repr, value), most)


def said(error: BaseException, most: int = ERROR) -> str:
    """What an error says. Its kind stands before the words of a KeyError, and alone where there are none."""
    text = _written(str, error)
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__}{text and ': '}{text}"
    return shortened(text, most)


def _written(how: Callable[[object], str], value: object) -> str:
    try:
        return how(value)
    except Exception as error:  # whatever somebody's __repr__ raises, and Python of an int with 5,000 digits
        return f"a {type(value).__name__} ({type(error).__name__} in its text)"


def shortened(text: str, most: int) -> str:
    """A text on one line; of a long one the beginning and the end, which often says what to do."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    end = (most - 3) // 3
    return f"{line[: most - 3 - end]}...{line[-end:]}"
