"""Faults injected into the writes of a process to a folder: opening, writing, waiting for the disk, renaming.

*killed*: the process is gone at once, half of what it was writing is written. *full*: the disk is full from then on.
*interrupted*: KeyboardInterrupt.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("killed", "full", "interrupted")


@dataclass
class Fault:
    """Stops at write number ``at``, counted from 1; 0 for never. ``points``: the writes so far, in words."""

    folder: Path
    at: int = 0
    kind: str = "killed"
    points: list[str] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def hit(self, what: str, path: Any, half: Callable[[], Any] | None = None) -> None:
        """Count a write, and stop there if it is the one."""
        if threading.get_ident() != self.thread or not str(path).startswith(str(self.folder)):
            return
        self.points.append(f"{what} {Path(str(path)).name}")
        if len(self.points) < self.at or not self.at:
            return
        if self.kind == "full":
            if half is not None:
                half()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if len(self.points) > self.at:
            return
        if half is not None:
            half()
        if self.kind == "killed":
            os._exit(9)
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        """Within it all writes of this thread are counted."""
        opened, synced, replaced, truncated = io.open, os.fsync, os.replace, os.truncate

        def open_(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            elsewhere = not isinstance(file, str | Path) or threading.get_ident() != self.thread
            if elsewhere or not set(mode) & set("wax+") or str(file).endswith("lock"):
                return opened(file, mode, *args, **kwargs)
            self.hit("open", file)
            return _watched(self, opened(file, mode, *args, **kwargs), Path(file))

        def fsync(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.hit("fsync", os.readlink(f"/proc/self/fd/{number}"))
            synced(descriptor)

        def replace_(source: Any, target: Any, **kwargs: Any) -> None:
            self.hit("rename", target)
            replaced(source, target, **kwargs)

        def truncate(path: Any, length: int) -> None:
            self.hit("cut", path)
            truncated(path, length)

        builtins.open = io.open = open_  # type: ignore[assignment]
        os.fsync, os.replace, os.truncate = fsync, replace_, truncate  # type: ignore[assignment]
        rename, Path.replace = Path.replace, lambda path, target: replace_(path, target)  # type: ignore[method-assign, assignment, return-value]
        try:
            yield
        finally:
            builtins.open = io.open = opened  # type: ignore[assignment]
            os.fsync, os.replace, os.truncate = synced, replaced, truncated
            Path.replace = rename  # type: ignore[method-assign]


def _watched(fault: Fault, file: Any, path: Path) -> Any:
    """The file, whose writes are counted; of a binary one, which has very many, the first."""
    write = file.write
    text = isinstance(file, io.TextIOBase)
    seen = [0]

    def watched(data: Any) -> Any:
        seen[0] += 1
        if text or seen[0] == 1:
            fault.hit("write", path, lambda: (write(data[: len(data) // 2]), file.flush()))
        return write(data)

    with contextlib.suppress(AttributeError):
        file.write = watched
    return file
