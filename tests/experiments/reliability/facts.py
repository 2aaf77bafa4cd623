"""All that a run has written, in small pieces by name, and in which of them two runs differ."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import yaml

from expirespan.experiments.tracking.log_files import read_csv

Facts = dict[str, Any]
ASIDE = ("tensorboard", "runs", "_num_timesteps_at_start")
"""Names of files, and the step at which a process began."""
TIMED = re.compile(
    r"/digests/|/time$|/commit$|elapsed|start_time|steps_per_second|step_times|time/fps|time/time_elapsed"
)
"""What clocks and git say, and digests of files that hold it: the only facts in which two runs may differ."""


def differences(expected: Facts, found: Facts) -> list[str]:
    """Facts of a run that differ from those of one that was not stopped, in words."""
    wrong = [f"{key} is missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key} is too much" for key in found.keys() - expected.keys()]
    wrong += [
        f"{key}: {expected[key]!r:.60} became {found[key]!r:.60}"
        for key in expected.keys() & found.keys()
        if not TIMED.search(key) and not _equal(expected[key], found[key])
    ]
    return sorted(wrong)


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def facts(folder: Path) -> Facts:
    """All that the only run in a folder has written, in small pieces by name."""
    (config,) = folder.glob("*/*/config.yaml")
    run, found = config.parent, {}
    for file in sorted(path for path in run.rglob("*") if path.is_file()):
        name = file.relative_to(run).as_posix()
        if name in ("error.txt", "lock") or name.startswith("damaged-"):
            continue  # a row that was cut off is kept apart
        if "events.out" in name:
            continue  # read together below
        found[name] = "exists"
        for key, value in _content(file):
            found[f"{name} {key}"] = value
    found |= {f"tensorboard {key}": value for key, value in _events(run / "tensorboard")}
    return found


def _content(file: Path) -> Iterator[tuple[str, Any]]:
    if file.suffix == ".yaml":
        settings = yaml.safe_load(file.read_text())
        yield from _flat({key: value for key, value in settings.items() if key != "runs"})
    elif file.suffix == ".json":
        yield from _flat({k: v for k, v in json.loads(file.read_text()).items() if k != "settings"})
    elif file.suffix == ".jsonl":
        yield from _flat([json.loads(line) for line in file.read_text().splitlines()])
    elif file.suffix == ".csv":
        yield from _flat([{k: v for k, v in row.items() if v} for row in read_csv(file)])
    elif file.suffix == ".npz":
        with np.load(file) as arrays:
            yield from ((key, arrays[key]) for key in arrays.files)
    elif file.suffix == ".zip" and "policy.safetensors" in zipfile.ZipFile(file).namelist():
        with zipfile.ZipFile(file) as archive:
            for part in ("policy.safetensors", "state.safetensors"):
                yield from safetensors.numpy.load(archive.read(part)).items()
            yield from _flat(json.loads(archive.read("data")))
    elif file.suffix == ".zip":
        content = torch.load(file, weights_only=True)
        yield from _flat(content | {"config": json.loads(content["config"])})
    else:
        yield "bytes", file.read_bytes()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    parts: Any = ()
    if isinstance(value, dict):
        parts = [item for item in value.items() if item[0] not in ASIDE]
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    elif isinstance(value, torch.Tensor):
        yield name, value.numpy()
    else:
        yield name, value
    for key, part in parts:
        yield from _flat(part, f"{name}/{key}")


def _events(folder: Path) -> Iterator[tuple[str, Any]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    count: dict[str, int] = {}
    for file in sorted(folder.glob("events.out.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                key = f"{value.tag}@{event.step}"
                count[key] = count.get(key, 0) + 1
                yield f"{key}#{count[key]}", value.SerializeToString()
