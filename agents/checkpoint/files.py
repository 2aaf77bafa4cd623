"""Checkpoint paths, and atomic writing: a file is whole or absent."""

from __future__ import annotations

import glob
import io
import os
import pathlib
import secrets
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

Source = str | pathlib.Path | io.BufferedIOBase

ABANDONED = 3600.0
"""Seconds after which a half-written file is what a killed process has left behind."""


def destination(path: str | pathlib.Path) -> pathlib.Path:
    """Where SB3 saves to: ``.zip`` is added to a name without suffix, ``_2`` to that of a folder."""
    target = pathlib.Path(path)
    if target.suffix == "":
        target = target.with_name(f"{target.name}.zip")
    if target.is_dir():
        warnings.warn(f"Path '{target}' is a folder. Will save instead to {target}_2", stacklevel=3)
        target = target.with_name(f"{target.name}_2")
    return pathlib.Path(os.path.realpath(target))  # through links, as writing to them would


@contextmanager
def replacing(target: pathlib.Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``target`` when all is on disk. After an exception all is as before."""
    if not target.parent.exists():
        warnings.warn(f"Path '{target.parent}' does not exist. Will create it.", stacklevel=4)
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    _remove_abandoned(target)


def _sync_folder(folder: pathlib.Path) -> None:
    """Put the new name on disk as well, where the system lets folders be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems know no such thing
    finally:
        os.close(descriptor)


def _remove_abandoned(target: pathlib.Path) -> None:
    """Remove what killed processes have left of earlier attempts to write ``target``."""
    for file in target.parent.glob(f".{glob.escape(target.name)}.*-*.tmp"):
        try:
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()
        except OSError:
            continue  # another process was faster


def origin(path: Source) -> Source:
    """The file that SB3 would read: ``path``, or with ``.zip`` added.

    Raises:
        FileNotFoundError: there is neither.
    """
    if not isinstance(path, (str, pathlib.Path)):
        return path
    tried = [pathlib.Path(path), pathlib.Path(f"{path}.zip")]
    found = [candidate for candidate in tried if candidate.is_file()]
    if not found:
        raise FileNotFoundError(
            f"there is no saved agent at {tried[0]} nor at {tried[1]}; give the path that save() was given "
            f"(relative paths start from {pathlib.Path.cwd()})"
        )
    return found[0]


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """The source, open for reading; one that was given open stays so, and where it was."""
    if isinstance(source, (str, pathlib.Path)):
        with open(source, "rb") as file:
            yield file
        return
    given: Any = source
    start = given.tell()
    try:
        yield given
    finally:
        given.seek(start)


def named(source: Source) -> str:
    """The source, for messages."""
    return str(source) if isinstance(source, (str, pathlib.Path)) else f"the given {type(source).__name__}"
