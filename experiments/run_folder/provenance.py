"""Provenance of a number: command, commit, machine and versions, stored beside every result."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("expirespan", "torch", "stable-baselines3", "gymnasium", "numpy")


def provenance() -> dict[str, Any]:
    """Command, time (UTC), git commit, machine and package versions, ready for JSON."""
    return {
        "command": command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def command() -> str:
    """The command line that started this process, ready to be pasted."""
    return shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])


def commit() -> str | None:
    """The commit of the sources, with ``+changes`` if files differ from it.

    Outside of a checkout it is the one in the version, shortened, and None for a version that names none.
    """
    here = Path(__file__).resolve()
    git = ("git", "-C", str(here.parent))
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        # an installed copy may lie in a checkout of something else
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", str(here)], capture_output=True, check=True, timeout=10
        )
        status = [*git, "status", "--porcelain", "--untracked-files=no"]
        changes = subprocess.run(status, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return built_from(version("expirespan"))
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def built_from(number: str) -> str | None:
    """The commit that a version was built from: ``0.2.0.dev3+g1a2b3c4`` names it, with ``.d20260131`` for changes."""
    found = re.fullmatch(r"[^+]+\+g([0-9a-f]{7,40})(\.d\d{8})?", number)
    return None if found is None else found[1] + ("+changes" if found[2] else "")


def machine() -> dict[str, Any]:
    """Processor, cores and threads in use, and the GPU if there is one."""
    import torch  # slow

    from expirespan.memory.attention import in_triton, native

    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "attention_in_c": native.KINDS[native.kind()] if native.available() else native.why_not(),
        "attention_in_triton": in_triton.version() or in_triton.why_not(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
