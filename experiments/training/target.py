"""Whether evaluations reach a target, and which of them is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from expirespan.experiments.run_folder.evaluations import score_of
from expirespan.experiments.settings import TargetSettings


def rank(entry: dict[str, object], target: TargetSettings) -> tuple[float, float]:
    """Order of evaluations: by success (or return), then by how little is kept, both as far as the target goes."""
    by_return = target.success is None and (entry["success"] is None or target.mean_return is not None)
    found, wanted = ("mean_return", target.mean_return) if by_return else ("success", target.success)
    reached = min(score_of(entry, found), math.inf if wanted is None else wanted)
    alive = entry["alive_at_end"]
    most = max(alive) if isinstance(alive, list) and alive else 0.0
    return reached, -max(most, target.alive or 0.0)


def is_target(target: TargetSettings) -> bool:
    """Whether there is anything to reach: without success and mean return, training takes all steps."""
    return target.success is not None or target.mean_return is not None


def meets(entry: dict[str, object], target: TargetSettings) -> bool:
    """Whether an evaluation meets the target; never without one."""
    wanted = {"success": target.success, "mean_return": target.mean_return}
    if not is_target(target):
        return False
    for name, least in wanted.items():
        found = entry[name]
        if least is not None and not (isinstance(found, float) and found >= least):
            return False
    alive = entry["alive_at_end"]
    return (
        target.alive is None or not isinstance(alive, list) or all(count <= target.alive for count in alive)
    )


def reached_at(entries: Sequence[dict[str, Any]], target: TargetSettings) -> int | None:
    """Step of the evaluation with which the target was first met as often in a row as asked; None if it was not."""
    for i, entry in enumerate(entries):
        if met_in_a_row(entries[: i + 1], target) >= target.evaluations:
            return int(entry["step"])
    return None


def met_in_a_row(entries: Sequence[dict[str, Any]], target: TargetSettings) -> int:
    """How many evaluations, back from the last, met the target."""
    return len(list(takewhile(lambda entry: meets(entry, target), reversed(entries))))


def is_over(step: int, reached: int | None, target: TargetSettings) -> bool:
    """Whether the target was ``reached``, and at ``step`` has been held for as long as asked."""
    return reached is not None and step >= reached + target.hold
