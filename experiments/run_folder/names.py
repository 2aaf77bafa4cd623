"""Names in commands: run folders stay under the folder of runs, and what is printed can be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from expirespan.experiments.settings.errors import UserError

LONGEST = 150
"""Bytes of a name; file systems take 255, and the names of temporary files are longer."""


def check_name(what: str, name: str) -> None:
    """Raise UserError unless ``name`` can be that of one folder."""
    wrong = ""
    if not name or name.strip(" .") != name:
        wrong = "a name that neither is empty nor begins or ends with a dot or space"
    elif any(char in "/\\" for char in name):
        wrong = "a name without / and \\; --runs chooses the folder it lies in"
    elif not name.isprintable():
        wrong = "a name of characters that can be printed"
    elif len(name.encode("utf-8", "replace")) > LONGEST:
        wrong = f"a name of at most {LONGEST} bytes"
    if wrong:
        raise UserError(f"{what}={name!r}: expected {wrong}")


def check_path(what: str, path: str) -> None:
    """Raise UserError if no file can have this path."""
    if not path or "\0" in path:
        raise UserError(f"{what}={path!r}: expected the path of a folder")


def quoted(path: str | Path) -> str:
    """A path as a word of a shell's command line; never taken for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
