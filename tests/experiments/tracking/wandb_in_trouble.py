"""Trains twice: while the service of W&B can write no more than 100 bytes a file, and while it is killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expirespan.experiments.settings.config_file import read_config
from expirespan.experiments.training import callbacks
from expirespan.experiments.training.train import train


def service() -> int:
    """Process of W&B's service, a child of this one."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = status.read_text().rsplit(")", 1)
        except OSError:  # it has just ended
            continue
        if "wandb-core" in name and int(rest.split()[1]) == os.getpid():
            return int(status.parent.name)
    raise RuntimeError("W&B's service does not run")


def trained(trouble: Callable[[], None]) -> dict[str, Any]:
    """Train while ``trouble`` begins at the first evaluation."""
    evaluate, waiting = callbacks.TrainingCallback.evaluate, [trouble]

    def troubled(self: callbacks.TrainingCallback) -> None:
        if waiting:
            waiting.pop()()
        evaluate(self)

    callbacks.TrainingCallback.evaluate = troubled  # type: ignore[method-assign]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train(read_config(Path(sys.argv[1])))
    callbacks.TrainingCallback.evaluate = evaluate  # type: ignore[method-assign]
    return {
        "steps": result.steps,
        "folder": str(result.run.folder),
        "warnings": " ".join(str(warning.message) for warning in caught),
    }


def fill_the_disk() -> None:
    resource.prlimit(service(), resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))


def free_the_disk_and_kill() -> None:
    resource.prlimit(service(), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.kill(service(), signal.SIGKILL)


print(json.dumps([trained(fill_the_disk), trained(free_the_disk_and_kill)]))
