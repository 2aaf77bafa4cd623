"""Training over several workers: steps per second of each number of them, and the bytes of an update.

Each number of workers trains the same run, the recipe's with the lesson from the first step on, in processes that
torchrun starts on this machine. The bytes that a worker hands to the exchanges of an update are counted, and stand
beside those of the model on paper (`model.py`), which goes on to numbers that this machine does not have.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from expirespan.experiments.bench.options import WorkersOptions as Options
from expirespan.experiments.bench.workers.model import Sizes, bytes_of_update, seconds_of_exchanges
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings import ExpireSpanSettings, PPOSettings
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.training.launch import check_sharing

__all__ = ["Options", "Row", "run", "table"]


@dataclass(frozen=True)
class Row:
    """``measured``: whether so many workers ran here; otherwise each has as many environments as one had alone.

    ``steps_per_second`` of all: the median of ``rounds``. ``cpu_seconds`` of an update, of the busiest worker: where
    other work shares the cores, they say what free ones would need. ``speedup``: over one worker, by the former.
    ``exchanges``, ``sent``: of an update, and bytes that a worker hands to them, apart from the episodes that ended;
    ``expected``: those of the model.
    """

    workers: int
    measured: bool
    steps_per_second: float
    cpu_seconds: float
    speedup: float
    exchanges: int
    sent: int
    expected: int
    rounds: list[float]


def run(options: Options) -> list[Row]:
    """Measure, then extrapolate.

    Raises:
        UserError: the recipe is unknown, or workers cannot share its environments.
    """
    config = find_recipe(options.recipe).config
    if not (isinstance(config.algorithm, PPOSettings) and isinstance(config.memory, ExpireSpanSettings)):
        raise UserError(f"recipe={options.recipe}: expected one of PPO with an Expire-Span memory")
    for count in options.workers:
        check_sharing(config, count)
    rows: list[Row] = []
    sizes = None
    for count in sorted({1, *options.workers}):
        found = _measured(options, count)
        sizes = Sizes(**found["sizes"])
        shared = count > 1
        rows.append(
            Row(
                workers=count,
                measured=True,
                steps_per_second=(speed := median(found["rounds"])),
                cpu_seconds=median(found["cpu"]),
                speedup=speed / (rows[0].steps_per_second if rows else speed),
                exchanges=sizes.exchanges if shared else 0,
                sent=found["sent"],
                expected=bytes_of_update(sizes) if shared else 0,
                rounds=found["rounds"],
            )
        )
    assert sizes is not None
    alone, steps = rows[0].cpu_seconds, config.num_envs * config.algorithm.n_steps
    for count in options.extrapolate:
        seconds = alone + seconds_of_exchanges(sizes, count, options.latency, options.bandwidth)
        sent = bytes_of_update(sizes)
        speed = count * steps / seconds
        rows.append(Row(count, False, speed, alone, speed * alone / steps, sizes.exchanges, sent, sent, []))
    return rows


def _measured(options: Options, workers: int) -> dict[str, Any]:
    """What `measured.py` says of so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        given = [options.recipe, str(options.rounds), str(file)]
        start = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "localhost"]
        start += [
            "--nproc-per-node",
            str(workers),
            "-m",
            "expirespan.experiments.bench.workers.measured",
            *given,
        ]
        done = subprocess.run([sys.executable, *start], capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{workers} workers could not be measured: {done.stderr.strip()[-500:]}")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [
        f"{'workers':>8}{'steps/s':>12}{'CPU s':>8}{'speedup':>9}{'exchanges':>11}{'bytes sent':>12}{'on paper':>12}"
    ]
    for r in rows:
        sent = f"{r.sent:,}" if r.measured else ""
        lines.append(
            f"{r.workers:>8,}{r.steps_per_second:>12,.0f}{r.cpu_seconds:>8.2f}{r.speedup:>9.2f}{r.exchanges:>11}{sent:>12}{r.expected:>12,}"
        )
    return "\n".join(lines)
