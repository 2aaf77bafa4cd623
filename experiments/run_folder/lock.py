"""Lock on a run's folder: one process at a time trains in it. The system releases it with the process."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from expirespan.experiments.settings.errors import UserError

if sys.platform != "win32":
    import fcntl

LOCK = "lock"
"""Name of the file. It stays: to remove it would let two processes lock two files of that name."""
_FAR = 2**30
"""Byte that Windows locks, far behind the text, which others may then read."""
_held: set[BinaryIO] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes, and other threads, from writing to a run. Readers need no lock.

    Raises:
        UserError: somebody has it; the message says who, where and since when.
    """
    path = folder / LOCK
    file = path.open("a+b")
    try:
        if not _take(file):
            raise UserError(
                f"{folder} is being written by {_holder(path)}; wait until it has ended or stop it, then try again. "
                "`expirespan view` and `expirespan evaluate` may read meanwhile"
            )
        _held.add(file)
        file.truncate(0)
        here = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        file.write(json.dumps(here).encode())
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
    finally:
        _held.discard(file)
        file.close()  # which releases it


def _take(file: BinaryIO) -> bool:
    """Lock an open file, if nobody has it. Where the file system knows no locks, nobody can have it."""
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _take_on_windows(file)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _take_on_windows(file: BinaryIO) -> None:
    import msvcrt

    windows: Any = msvcrt  # its functions are typed on Windows only
    file.seek(_FAR)
    windows.locking(file.fileno(), windows.LK_NBLCK, 1)
    file.seek(0)


def _holder(path: Path) -> str:
    """Who has the lock, in words."""
    try:
        who = json.loads(path.read_bytes())
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _forget() -> None:
    """In a forked child: close its copies, which would keep the lock when the parent is gone."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
