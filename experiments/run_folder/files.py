"""Atomic writing of files: a reader never sees half of one, and what was written is on disk before it is named."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expirespan.experiments.settings.errors import UserError

ABANDONED = 3600.0
"""Seconds after which a half-written file of another machine is what a killed process has left behind."""
_TEMPORARY = re.compile(r"\..*\.(?:(?P<host>[0-9a-f]{8})-)?(?P<pid>\d+)-[0-9a-f]{8}\.tmp(?:\.\w+)?")
"""Names of half-written files, those of `expirespan.agents.checkpoint.files` included, which know no host."""


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A path to write to, beside ``path``: on leaving it becomes ``path``, after an error it vanishes."""
    name = f".{path.stem[:150]}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp{path.suffix}"
    temporary = path.with_name(name)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path: Path | None) -> None:
    """Raise UserError if the folder of the file that the option ``output`` gives does not exist."""
    if path is not None and not path.parent.is_dir():
        raise UserError(f"output={path}: expected a file in an existing folder; create {path.parent}")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk.

    Raises:
        OSError: a file could not be written. What a file system cannot do for folders is left out.
    """
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except OSError:
        if is_folder:
            return  # Windows opens none
        raise
    try:
        os.fsync(descriptor)
    except OSError:
        if not is_folder:
            raise
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path, mine: bool = False) -> None:
    """Remove what killed processes have left half-written in a folder.

    That of a process that lives stays, and that of another machine until it is an hour old, unless nobody else may
    write in this folder (``mine``).
    """
    for file in folder.glob(".*.tmp*"):
        found = _TEMPORARY.fullmatch(file.name)
        if found is None:
            continue
        with contextlib.suppress(OSError):  # another process was faster
            here = found["host"] == _host()
            gone = here and not _lives(int(found["pid"]))
            if mine or gone or time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _lives(pid: int) -> bool:
    if os.name == "nt":  # there a signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
