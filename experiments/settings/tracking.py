"""Settings of a run's record at W&B."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WandbSettings:
    """How W&B files the run, and what it records of the machine."""

    project: str = "expirespan"
    """Project."""
    entity: str | None = None
    """User or team; None for your default."""
    group: str | None = None
    """Group of runs; None for none."""
    tags: tuple[str, ...] = ()
    """Tags."""
    machine: bool = True
    """Record the host's name, the command line, git's remote and commit, the installed packages and the load."""
