"""Tries of a run that is stopped at one of its writes and resumed, compared with one that is not stopped.

Counted are the writes of a process to a folder: opening a file to write, writing to it, waiting for the disk, renaming.
A try stops at one of them. *killed*: the process is gone at once, half of what it was writing is written. *full*: the
disk is full from then on. *interrupted*: KeyboardInterrupt.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import os
import re
import shutil
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import yaml

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.train import final_score, train_sequence
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    EvaluationSettings,
    ExpireSpanSettings,
    PPOSettings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import read_csv
from expirespan.experiments.training.train import train

KINDS = ("killed", "full", "interrupted")
Facts = dict[str, Any]
ASIDE = ("tensorboard", "runs", "_num_timesteps_at_start")
"""Names of files, and the step at which a process began."""
TIMED = re.compile(
    r"/digests/|/time$|/commit$|elapsed|start_time|steps_per_second|step_times|time/fps|time/time_elapsed"
)
"""What clocks and git say, and digests of files that hold it: the only facts in which two runs may differ."""


@dataclass
class Fault:
    """Stops at write number ``at``, counted from 1; 0 for never. ``points``: the writes so far, in words."""

    folder: Path
    at: int = 0
    kind: str = "killed"
    points: list[str] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def hit(self, what: str, path: Any, half: Callable[[], Any] | None = None) -> None:
        """Count a write, and stop there if it is the one."""
        if threading.get_ident() != self.thread or not str(path).startswith(str(self.folder)):
            return
        self.points.append(f"{what} {Path(str(path)).name}")
        if len(self.points) < self.at or not self.at:
            return
        if self.kind == "full":
            if half is not None:
                half()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if len(self.points) > self.at:
            return
        if half is not None:
            half()
        if self.kind == "killed":
            os._exit(9)
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        """Within it all writes of this thread are counted."""
        opened, synced, replaced, truncated = io.open, os.fsync, os.replace, os.truncate

        def open_(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            elsewhere = not isinstance(file, str | Path) or threading.get_ident() != self.thread
            if elsewhere or not set(mode) & set("wax+") or str(file).endswith("lock"):
                return opened(file, mode, *args, **kwargs)
            self.hit("open", file)
            return _watched(self, opened(file, mode, *args, **kwargs), Path(file))

        def fsync(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.hit("fsync", os.readlink(f"/proc/self/fd/{number}"))
            synced(descriptor)

        def replace_(source: Any, target: Any, **kwargs: Any) -> None:
            self.hit("rename", target)
            replaced(source, target, **kwargs)

        def truncate(path: Any, length: int) -> None:
            self.hit("cut", path)
            truncated(path, length)

        builtins.open = io.open = open_  # type: ignore[assignment]
        os.fsync, os.replace, os.truncate = fsync, replace_, truncate  # type: ignore[assignment]
        rename, Path.replace = Path.replace, lambda path, target: replace_(path, target)  # type: ignore[method-assign, assignment, return-value]
        try:
            yield
        finally:
            builtins.open = io.open = opened  # type: ignore[assignment]
            os.fsync, os.replace, os.truncate = synced, replaced, truncated
            Path.replace = rename  # type: ignore[method-assign]


def _watched(fault: Fault, file: Any, path: Path) -> Any:
    """The file, whose writes are counted; of a binary one, which has very many, the first."""
    write = file.write
    text = isinstance(file, io.TextIOBase)
    seen = [0]

    def watched(data: Any) -> Any:
        seen[0] += 1
        if text or seen[0] == 1:
            fault.hit("write", path, lambda: (write(data[: len(data) // 2]), file.flush()))
        return write(data)

    with contextlib.suppress(AttributeError):
        file.write = watched
    return file


@dataclass(frozen=True)
class Job:
    """Something that trains in a folder of runs, and can be resumed."""

    name: str
    start: Callable[[Path], None]
    resume: Callable[[Run], None]


def agent_config(runs: Path) -> Config:
    """Two evaluations, three rows and two checkpoints, of which one is kept; a second on one core."""
    return Config(
        recipe="agent",
        total_timesteps=32,
        num_envs=2,
        env=CorridorSettings(3, 3),
        eval_env=CorridorSettings(3, 3),
        memory=ExpireSpanSettings(width=8, layers=1, heads=1, max_span=16, ramp=2),
        algorithm=PPOSettings(n_steps=8, batch_size=16, n_epochs=1),
        evaluation=EvaluationSettings(every=16, episodes=2, num_envs=2),
        checkpoints=1,
        runs=str(runs),
        wandb="off",
        progress=False,
    )


def sequence_config(runs: Path) -> SequenceConfig:
    """Evaluates after updates 2, 4 and 5, saves after 2, 4 and 5."""
    return SequenceConfig(
        recipe="sequence",
        task=CopyTask(delay=6, shortest=None, payload=1),
        memory=ExpireSpanSettings(width=8, layers=1, heads=2, max_span=20),
        rows=2,
        block=8,
        updates=5,
        evaluate_every=2,
        save_every=2,
        evaluation_steps=16,
        evaluation_rows=2,
        checkpoints=1,
        runs=str(runs),
        wandb="off",
        progress=False,
    )


def _sequence(runs: Path, run: Run | None = None) -> None:
    result = train_sequence(sequence_config(runs), run)
    final_score(result.trainer, result.run)


def _agent(runs: Path, run: Run | None = None) -> None:
    train(agent_config(runs), run)


JOBS = {
    "train": Job("train", _agent, lambda run: _agent(run.folder.parent.parent, run)),
    "sequence": Job("sequence", _sequence, lambda run: _sequence(run.folder.parent.parent, run)),
}


def points(job: Job, folder: Path) -> list[str]:
    """The writes of a run that is not stopped, in order."""
    fault = Fault(folder)
    with fault.injected(), quiet():
        job.start(folder)
    return fault.points


def stop_and_resume(job: Job, folder: Path, at: int, kind: str, then: int = 0) -> str:
    """Stop a run at one of its writes and resume it; what went wrong, in words, or nothing.

    ``then``: the first to resume it is killed, at this one of its own writes.
    """
    _stopped(lambda: job.start(folder), Fault(folder, at, kind))
    found = list(folder.glob("*/*/config.yaml"))
    if found and then:
        _stopped(lambda: job.resume(Run.open(found[0].parent)), Fault(folder, then))
    try:
        with quiet():
            if found:
                job.resume(Run.open(found[0].parent))
            else:
                if kind != "killed" and any(folder.glob("*/*")):
                    return "a folder that is no run stays"
                for other in folder.glob("*/*"):
                    shutil.rmtree(other)
                job.start(folder)
    except Exception as error:
        return f"does not resume: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def _stopped(work: Callable[[], None], fault: Fault) -> None:
    """Do some work until the fault stops it, in a fork if that is killed."""
    if fault.kind != "killed":
        with contextlib.suppress(KeyboardInterrupt, UserError, OSError), fault.injected(), quiet():
            work()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            fault.thread = threading.get_ident()
            with fault.injected(), quiet():
                work()
        finally:
            os._exit(1)
    os.waitpid(child, 0)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing printed, no warnings."""
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with out, err, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
