"""Rows of the table in docs/reliability.md: their cases, and a try of each."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import STEP, read_csv
from expirespan.experiments.tracking.wandb_writer import WandbWriter
from expirespan.experiments.training import header, train
from tests.experiments.reliability import misbehaviour, stops, worlds
from tests.experiments.reliability.facts import differences, facts
from tests.experiments.reliability.forks import fork, wait
from tests.experiments.reliability.jobs import JOBS, agent_config, quiet

Tries = Iterator[tuple[str, Callable[[Path], str]]]
"""A case in words, and a try of it in a folder, which returns what was wrong or nothing."""


def stopped_runs(name: str, kind: str) -> Tries:
    """Runs stopped at one of their writes and resumed."""
    job = JOBS[name]
    with tempfile.TemporaryDirectory() as place:
        writes = stops.points(job, Path(place))
        expected = facts(Path(place))
    for at, point in enumerate(writes, 1):

        def one(folder: Path, at: int = at) -> str:
            wrong = stops.stop_and_resume(job, folder, at, kind)
            found = [wrong] if wrong else differences(expected, facts(folder))
            left = [path.name for path in folder.rglob(".*") if path.suffix != "" and path.is_file()]
            return "; ".join([*found, *(f"{name} stays" for name in left)][:3])

        yield f"{kind} at {point}", one


def environments(chosen: Callable[[worlds.Kind], bool]) -> Tries:
    """Runs in environments that misbehave."""
    for kind in filter(chosen, worlds.kinds()):

        def one(folder: Path, kind: worlds.Kind = kind) -> str:
            return misbehaviour.complaint(kind, folder)

        yield kind.title, one


def two_at_once() -> Tries:
    """Runs resumed while they train, and resumed twice at the same moment."""

    def while_it_trains(folder: Path) -> str:
        config = agent_config(folder)
        child = fork(lambda: train.train(replace(config, total_timesteps=10**9)))
        try:
            wait(lambda: bool(list(folder.glob("*/*/checkpoints/step-*.zip"))))
            (run,) = folder.glob("*/*")
            with quiet():
                train.train(config, Run.open(run))
        except UserError as error:
            return "" if f"process {child}" in str(error) else f"refused without a reason: {error}"
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return "two processes wrote one run"

    def twice(folder: Path) -> str:
        with quiet():
            JOBS["train"].start(folder)
        (run,) = folder.glob("*/*")
        more = replace(agent_config(folder), total_timesteps=160)
        children = [fork(lambda: train.train(more, Run.open(run))) for _ in range(2)]
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        steps = [row[STEP] for row in read_csv(run / "progress.csv") if not row["eval/mean_return"]]
        if codes != [0, 2] or len(set(steps)) < len(steps):
            return f"exit codes {codes}, {len(steps) - len(set(steps))} rows twice"
        return ""

    for i in range(4):
        yield f"resumed while it trains {i}", while_it_trains
        yield f"resumed twice {i}", twice


def odd_names() -> Tries:
    """Runs whose recipe has an odd name."""
    parts = (
        "..",
        "/",
        "\\",
        "a",
        " ",
        "-",
        "$(id)",
        ";",
        "'",
        '"',
        "\0",
        "\n",
        "*",
        "ü",
        "#",
        ":",
        "x" * 300,
    )
    texts = [*parts, *(f"{one}{other}" for one in parts for other in parts)]
    for text in dict.fromkeys(texts):

        def one(folder: Path, text: str = text) -> str:
            runs = folder / "inner" / "runs"
            try:
                run = Run.create(replace(agent_config(runs), recipe=text))
            except UserError as error:
                return "" if "\n" not in str(error) else "refused in several lines"
            if not run.folder.resolve().is_relative_to(runs.resolve()) or run.folder.parent.parent != runs:
                return "outside of the folder of runs"
            for _, command in header.next_words(run):
                with contextlib.suppress(ValueError):
                    if Path(shlex.split(command)[2]) == run.folder:
                        continue
                return f"a shell reads {command!r} otherwise"
            return ""

        yield repr(text)[:40], one


def wandb_names() -> Tries:
    """W&B, offline, in runs whose recipe has an odd name."""
    for text in ("a b", "a:b", "it's", "a#b;c", "a%b", "ü" * 60, "x" * 140, "$(id)"):

        def one(folder: Path, text: str = text) -> str:
            run = Run.create(replace(agent_config(folder), recipe=text))
            writer = WandbWriter(run.folder, run.name, {}, "offline")
            on = writer.run is not None
            writer.close()
            return "" if on else "W&B is off"

        yield text, one


STOPS = {"killed": "killed", "full": "with a full disk", "interrupted": "interrupted"}
ROWS: dict[str, Callable[[], Tries]] = {
    **{
        f"`{job}` {words} at one of its writes, resumed": partial(stopped_runs, job, kind)
        for job in JOBS
        for kind, words in STOPS.items()
    },
    "two processes, one folder": two_at_once,
    "environments that raise": lambda: environments(lambda k: k.name in worlds.ERRORS and not k.workers),
    "environments that answer what they must not": lambda: environments(
        lambda k: k.name in {**worlds.STEPS, **worlds.RESETS} and not k.workers
    ),
    "environments that never end": lambda: environments(lambda k: k.name == "never ends"),
    "environments in processes: raise, die, hang": lambda: environments(
        lambda k: k.workers and k.name != "never ends"
    ),
    "odd names of recipes": odd_names,
    "W&B with odd names": wandb_names,
}
"""Rows of the table: what their cases are."""
