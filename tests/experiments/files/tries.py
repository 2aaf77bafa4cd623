"""Reading damaged files and counting faults: wrong values, tracebacks, time, memory."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from expirespan.experiments.settings.errors import UserError

SECONDS, MEGABYTES = 2, 400
"""Of the processor, and more memory than before: what reading any small file may take."""


@dataclass(frozen=True)
class Kind:
    """A kind of file. ``make``: writes a file into a folder; its second argument says which of two. ``read``: a value
    that can be compared. ``damaged``: files from a good one. ``partial``: a value may lack parts of the good one, as
    read with a warning. ``lax``: text without checksum, where other values than those written can be read.
    """

    name: str
    suffix: str
    make: Callable[[Path, int], Path]
    read: Callable[[Path], Any]
    damaged: Callable[[bytes, bytes, random.Random, int], Iterator[tuple[str, bytes]]]
    errors: tuple[type[Exception], ...] = (UserError,)
    partial: bool = False
    lax: bool = False


def attempts(kind: Kind, count: int, seed: int = 0, every: int = 1) -> tuple[int, list[str]]:
    """How many damaged files were read, ``every`` so many of those generated, and the faults in words."""
    with tempfile.TemporaryDirectory() as name:
        expected, files = generated(kind, Path(name), count, seed)
        files, tries = files[::every], Path(name) / "tries"
        tries.mkdir()
        faults, first = [], 0
        while first < len(files):
            answers = _apart(lambda: _tried(kind, files[first:], expected, tries))  # noqa: B023
            faults += [
                f"{kind.name}, {what}: {fault}"
                for (what, _), fault in zip(files[first:], answers, strict=False)
                if fault
            ]
            first += len(answers)
        return len(files), faults


def generated(kind: Kind, folder: Path, count: int, seed: int) -> tuple[Any, list[tuple[str, bytes]]]:
    """What is read from a good file, and damaged ones: the same for the same numbers, in every process."""
    one, two = folder / "one", folder / "other"
    one.mkdir()
    two.mkdir()
    with _one_moment():
        good, other = kind.make(one, 0), kind.make(two, 1)
        expected = kind.read(good)
        assert expected != kind.read(other), "the two are the same: nothing would be found"
        return expected, list(kind.damaged(good.read_bytes(), other.read_bytes(), random.Random(seed), count))


@contextmanager
def _one_moment() -> Iterator[None]:
    """Within it clocks stand still: files hold times, in as many digits as they need."""
    with (
        mock.patch.multiple(time, time=lambda: 1.5e9, time_ns=lambda: 15 * 10**17),
        mock.patch.multiple(time, perf_counter=lambda: 8.5, monotonic=lambda: 8.5),
    ):
        yield


def _tried(kind: Kind, files: list[tuple[str, bytes]], expected: Any, folder: Path) -> Iterator[str]:
    """The fault of each, empty for none."""
    for i, (what, content) in enumerate(files):
        path = folder / f"{i}{kind.suffix}"
        path.write_bytes(content)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        fault = _try(kind, path, expected, kind.lax or what.startswith("~"))
        signal.setitimer(signal.ITIMER_PROF, 0)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        yield fault or (f"{more} MB of memory" if more > MEGABYTES else "")
        path.unlink(missing_ok=True)


def _try(kind: Kind, path: Path, expected: Any, lax: bool) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = kind.read(path)
    except kind.errors as error:
        text = str(error)
        if path.name not in text or "\n" in text.strip() or len(text) > 2000:
            return f"an error that is no sentence about the file: {text[:200]!r}"
        return ""
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:150]}"
    if found == expected or lax:
        return ""
    if kind.partial:
        rest = iter(expected)
        if all(row in rest for row in found):  # the same order
            return ""
    return "another value"


def _apart(action: Callable[[], Iterator[str]]) -> list[str]:
    """The answers of a forked process within bounds. If it dies, the last one says how."""
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiver)
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        room = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_used() + (4 << 30), room))
        for fault in action():
            os.write(sender, json.dumps(fault[:1000]).encode() + b"\n")
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        answers: list[str] = [json.loads(line) for line in pipe]
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        answers.append(f"more than {SECONDS} s" if ended == signal.SIGPROF else f"killed by signal {ended}")
    elif os.WEXITSTATUS(status):
        answers.append(f"ended with {os.WEXITSTATUS(status)}")
    return answers


def _used() -> int:
    """Bytes of address space of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
