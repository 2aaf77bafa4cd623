"""What the files of a run say of its training: whether it has come to its end, and how long it took."""

from __future__ import annotations

import numpy as np

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.training.target import is_over, reached_at


def finished(run: Run) -> bool:
    """Whether the training of a run has come to its end."""
    entries, config = run.evaluations(), run.config
    last = entries[-1]["step"] if entries else 0
    reached = reached_at(entries, config.target)
    return last >= config.total_timesteps or is_over(last, reached, config.target)


def seconds(run: Run) -> float:
    """Wall time of the training by its log, pauses excluded."""
    times = [
        float(row["time/time_elapsed"]) for row in read_csv(run.progress) if row.get("time/time_elapsed")
    ]
    return sum(times[i] for i in range(len(times)) if i + 1 == len(times) or times[i + 1] < times[i])


def seconds_at(run: Run, steps: list[int]) -> list[float]:
    """Wall time of the training when it had come to each of ``steps``, pauses excluded, as far as its log says."""
    known, times, passed, before = [0.0], [0.0], 0.0, 0.0
    for row in read_csv(run.progress):
        if not row.get("time/time_elapsed"):
            continue
        now = float(row["time/time_elapsed"])
        passed, before = passed + (now - before if now >= before else now), now
        known.append(float(row[STEP]))
        times.append(passed)
    return [float(one) for one in np.interp(steps, known, times)]
