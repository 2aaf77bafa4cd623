"""Cost of tracking: one training with W&B and TensorBoard off, and the same with both on.

``inside`` is the share of the training time spent in what tracking does: counting spans, drawing, and writing to
both. It is measured in a single run, so that other work on the machine slows both of its parts alike. ``ratio`` is that
of the two runs' CPU times; W&B's own process is not in it. Evaluations and logging are as the recipe has them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

from expirespan.agents.forgetting.rollout_spans import RolloutSpans
from expirespan.experiments.bench.options import TrackingOptions as Options
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings import Config, TargetSettings
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.tracking.log_files import TensorBoardWriter
from expirespan.experiments.tracking.wandb_writer import WandbWriter
from expirespan.experiments.training import callbacks
from expirespan.experiments.training.train import train

PARTS: tuple[tuple[str, Any, str], ...] = (
    ("spans", RolloutSpans, "add"),
    ("spans", RolloutSpans, "record"),
    ("drawing", callbacks, "log_episode"),
    ("W&B", WandbWriter, "__init__"),
    ("W&B", WandbWriter, "write"),
    ("W&B", WandbWriter, "close"),
    ("TensorBoard", TensorBoardWriter, "write"),
)
"""What is timed: name, owner, function."""


@dataclass(frozen=True)
class Row:
    """Medians over rounds. ``seconds``: wall time; ``ratio``: of ``cpu_seconds`` to those without tracking.

    ``inside``: share of the time spent in tracking; ``parts``: seconds by what they went to.
    """

    tracking: str
    seconds: float
    cpu_seconds: float
    ratio: float
    inside: float
    parts: dict[str, float] = field(default_factory=dict)


def run(options: Options) -> list[Row]:
    """Train without and with tracking.

    Raises:
        UserError: the recipe is unknown, or there is no round.
    """
    check_settings(options)
    chosen = find_recipe(options.recipe).config
    found: dict[str, list[_Run]] = {"off": [], "on": []}
    with tempfile.TemporaryDirectory() as folder:
        base = replace(
            chosen, total_timesteps=options.steps, target=TargetSettings(), runs=folder, progress=False
        )
        for _ in range(options.rounds):
            found["off"].append(_trained(replace(base, wandb="off", tensorboard=False)))
            found["on"].append(_trained(replace(base, wandb="offline", tensorboard=True)))
    reference = median(one.cpu for one in found["off"])
    return [_row(name, rounds, reference) for name, rounds in found.items()]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [f"{'tracking':<10}{'seconds':>10}{'CPU':>10}{'ratio':>8}{'inside':>9}  of which seconds"]
    for r in rows:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in r.parts.items())
        lines.append(
            f"{r.tracking:<10}{r.seconds:>10.1f}{r.cpu_seconds:>10.1f}{r.ratio:>8.3f}{r.inside:>9.2%}  {parts}"
        )
    return "\n".join(lines)


class _Run(NamedTuple):
    wall: float
    cpu: float
    spent: dict[str, float]


def _trained(config: Config) -> _Run:
    """Seconds of the training in all, and of the parts of tracking."""
    spent: dict[str, float] = {}
    with ExitStack() as stack:
        for part, owner, name in PARTS:
            stack.enter_context(_timed(owner, name, part, spent))
        wall, cpu = time.perf_counter(), time.process_time()
        train(config)
        return _Run(time.perf_counter() - wall, time.process_time() - cpu, spent)


@contextmanager
def _timed(owner: Any, name: str, part: str, spent: dict[str, float]) -> Iterator[None]:
    """Add the time that calls of ``owner.name`` take to ``spent[part]``."""
    function: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - began

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, function)


def _row(name: str, rounds: list[_Run], reference: float) -> Row:
    cpu = median(one.cpu for one in rounds)
    parts = {part: median(one.spent.get(part, 0.0) for one in rounds) for part in rounds[0].spent}
    inside = median(sum(one.spent.values()) / one.wall for one in rounds)
    return Row(name, median(one.wall for one in rounds), cpu, cpu / reference, inside, parts)
