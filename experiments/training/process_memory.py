"""Memory of this process: its peak, its bytes now, and from which size on freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from pathlib import Path

import torch

NO_GLIBC = (OSError, AttributeError, TypeError)
"""What asking for a function of glibc raises elsewhere; the last on Windows."""

Malloc = dict[int, int]
"""Options of glibc's ``mallopt``: here M_MMAP_THRESHOLD (-3) and M_TRIM_THRESHOLD (-1), in bytes."""

BOUNDED: Malloc = {-3: 1 << 20, -1: 1 << 20}
"""For long runs: tensors of a megabyte or more take their bytes from the system and give them back. By default glibc
raises the threshold to the largest tensor freed, up to 32 MB. Tensors of ever different sizes then leave holes in a
heap that only grows.
"""

RETURNED: Malloc = {-3: 1 << 16, -1: 1 << 16}
"""A tensor takes its bytes from the system and gives them back: a peak is what was in use, whatever was allocated
before. Otherwise it varies by a tenth with the state of the heap.
"""

KEPT: Malloc = {-3: 1 << 25, -1: 2**31 - 1}
"""Freed memory stays with the process, as with one that has trained for a while: no time goes into returning pages and
getting them again.
"""


def choose_malloc(options: Malloc) -> None:
    """Set the options from now on; without effect where there is no glibc."""
    with suppress(*NO_GLIBC):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)


def resident_bytes() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say (others than Linux)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


def peak_bytes(device: torch.device, reset: bool = False) -> float:
    """Peak memory since the last reset: of the GPU if there is one, otherwise of the process; 0 where nothing says it.

    A call with ``reset`` returns the bytes in use now, where the next peak begins.
    Where a process cannot reset its own peak (other systems than Linux) it is the peak of its whole life.
    """
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
            return float(torch.cuda.memory_allocated(device))
        return float(torch.cuda.max_memory_allocated(device))
    try:
        if reset:
            _return_freed()
            Path("/proc/self/clear_refs").write_text("5")
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return float(status["VmRSS" if reset else "VmHWM"].split()[0]) * 1024
    except OSError:
        return _peak_of_its_life()


def _peak_of_its_life() -> float:
    with suppress(ImportError):  # on Windows
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return 0.0


def _return_freed() -> None:
    """Return freed memory to the system (glibc), so that it does not hide what is allocated next."""
    with suppress(*NO_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)
