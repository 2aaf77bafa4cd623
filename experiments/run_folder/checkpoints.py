"""Checkpoints of a run by step: which there are, and which of them are whole."""

from __future__ import annotations

import re
from pathlib import Path

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.terminal.text import warn

_NAME = re.compile(r"step-(\d{1,18})\.zip")


def step_checkpoints(folder: Path) -> list[Path]:
    """Those of a folder by step, newest last; files of other names, such as copies, are none."""
    return sorted((f for f in folder.glob("step-*.zip") if _NAME.fullmatch(f.name)), key=checkpoint_step)


def checkpoint_step(path: Path) -> int:
    """The step in the name of a checkpoint."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise ValueError(f"{path} is not named like a checkpoint, step-N.zip")
    return int(found[1])


def damage_of(path: Path) -> str:
    """Why a checkpoint cannot be read; empty if it can."""
    from expirespan.agents.checkpoint.archive import damage  # slow

    return damage(path)


def newest_whole(paths: list[Path], set_aside: bool = False) -> Path:
    """The last checkpoint that can be read; says which newer ones are damaged.

    ``set_aside``: rename these, so that training writes them again when it comes to their step.

    Raises:
        UserError: none can be read.
    """
    said: list[str] = []
    for path in reversed(paths):
        reason = damage_of(path)
        if not reason:
            for line in said:
                warn(f"{line}; {path.name} is taken in its place")
            return path
        kept = path.with_name(f"damaged-{path.name}")
        if set_aside:
            path.replace(kept)
        said.append(reason + (f"; it is now named {kept.name}" if set_aside else ""))
    raise UserError(
        f"no checkpoint of {paths[-1].parent} can be read: {' | '.join(said)}; choose another with --checkpoint FILE, "
        "or train again"
    )
