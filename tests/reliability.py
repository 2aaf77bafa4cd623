"""Counts what goes wrong when runs are stopped, resumed twice at once, met by misbehaving environments, oddly named.

``python tests/reliability.py`` prints the table of docs/reliability.md; ``--write`` puts it there, ``--every N`` tries
every N-th case. ``--json FILE`` keeps the counts, and ``--before FILE`` compares with those of other code.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from expirespan.experiments.run_folder import files  # noqa: E402
from expirespan.experiments.run_folder.run import Run  # noqa: E402
from expirespan.experiments.settings.errors import UserError  # noqa: E402
from expirespan.experiments.tracking.log_files import STEP, read_csv  # noqa: E402
from expirespan.experiments.tracking.wandb_writer import WandbWriter  # noqa: E402
from expirespan.experiments.training import header, train  # noqa: E402
from expirespan.experiments.viewer import episode_media  # noqa: E402
from tests.experiments.reliability import misbehaviour, stops, worlds  # noqa: E402

BOUND = 60.0
"""Seconds that a try may take; one that takes longer hangs."""
FEW = 12
"""Cases of a row that is tried as a whole."""
LABELS = {
    "refused without a reason": "died of the other",
    "was not caught": "traceback",
    "went unnoticed": "unnoticed",
    "does not say": "said too little",
    "stopped: ": "stopped without need",
    "does not resume": "not resumed",
    "hangs": "hung",
    "is gone": "process gone",
    "no checkpoint": "no checkpoint",
    "two processes": "written by two",
    "exit codes": "written by two",
    "a shell reads": "command not quoted",
    "outside": "outside of the folder",
    "several lines": "not one sentence",
    "W&B is off": "off",
    "too much": "files differ",
    "missing": "files differ",
    "became": "files differ",
    "stays": "half-written file",
}
"""What was wrong, by a part of what a try says."""
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- tries -->", "<!-- end of tries -->"
Tries = Iterator[tuple[str, Callable[[Path], str]]]
"""A case in words, and a try of it in a folder, which returns what was wrong or nothing."""


def stopped_runs(name: str, kind: str) -> Tries:
    """Runs stopped at one of their writes and resumed."""
    job = stops.JOBS[name]
    with tempfile.TemporaryDirectory() as place:
        writes = stops.points(job, Path(place))
        expected = stops.facts(Path(place))
    for at, point in enumerate(writes, 1):

        def one(folder: Path, at: int = at) -> str:
            wrong = stops.stop_and_resume(job, folder, at, kind)
            found = [wrong] if wrong else stops.differences(expected, stops.facts(folder))
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
        config = stops.agent_config(folder)
        child = _fork(lambda: train.train(replace(config, total_timesteps=10**9)))
        try:
            _wait(lambda: bool(list(folder.glob("*/*/checkpoints/step-*.zip"))))
            (run,) = folder.glob("*/*")
            with stops.quiet():
                train.train(config, Run.open(run))
        except UserError as error:
            return "" if f"process {child}" in str(error) else f"refused without a reason: {error}"
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return "two processes wrote one run"

    def twice(folder: Path) -> str:
        with stops.quiet():
            stops.JOBS["train"].start(folder)
        (run,) = folder.glob("*/*")
        more = replace(stops.agent_config(folder), total_timesteps=160)
        children = [_fork(lambda: train.train(more, Run.open(run))) for _ in range(2)]
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
                run = Run.create(replace(stops.agent_config(runs), recipe=text))
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
            run = Run.create(replace(stops.agent_config(folder), recipe=text))
            writer = WandbWriter(run.folder, run.name, {}, "offline")
            on = writer.run is not None
            writer.close()
            return "" if on else "W&B is off"

        yield text, one


ROWS: dict[str, Callable[[], Tries]] = {
    **{
        f"`{job}` {words} at one of its writes, resumed": lambda job=job, kind=kind: stopped_runs(job, kind)  # type: ignore[misc]
        for job in stops.JOBS
        for kind, words in (
            ("killed", "killed"),
            ("full", "with a full disk"),
            ("interrupted", "interrupted"),
        )
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


def count(every: int, only: str = "") -> dict[str, tuple[int, dict[str, int]]]:
    """Tries and faults of each row, those by what was wrong. Of rows with few cases, all are tried.

    ``only``: rows with this in their title.
    """
    found = {}
    for title, tries in ROWS.items():
        if only not in title:
            continue
        cases, wrong = list(tries()), Counter[str]()
        chosen = cases[:: every if len(cases) > FEW else 1]
        begun = time.monotonic()
        for case, one in chosen:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
                said = in_a_fork(one, Path(place))
            if said:
                wrong[label(said)] += 1
                print(f"  {title}, {case}: {said[:300]}", file=sys.stderr, flush=True)
        found[title] = len(chosen), dict(wrong)
        print(f"{title}: {found[title]} in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return found


def label(said: str) -> str:
    """What was wrong with a try, in one or two words."""
    return next((words for part, words in LABELS.items() if part in said), "otherwise")


def in_a_fork(one: Callable[[Path], str], place: Path) -> str:
    """A try in a process of its own, which it may take with it."""
    told = place / "told"
    (place / "run").mkdir()

    def work() -> None:
        said = one(place / "run")
        told.write_text(said or "nothing")

    child, begun = _fork(work), time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - begun > BOUND:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"hangs for {BOUND:.0f} s"
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it has left
    said = told.read_text() if told.exists() else "the process is gone without a word"
    return "" if said == "nothing" else said


def _fork(work: Callable[[], Any]) -> int:
    """Do some work in a process; its exit code is 2 after a `UserError`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), stops.quiet():
            os.setpgid(0, 0)
            try:
                work()
                code = 0
            except UserError:
                code = 2
        os._exit(code)
    return child


def _wait(for_what: Callable[[], bool]) -> None:
    while not for_what():
        time.sleep(0.02)


def table(now: dict[str, Any], before: dict[str, Any]) -> str:
    """Markdown."""

    def cell(row: Any) -> str:
        if row is None:
            return "not measured"
        tries, wrong = row
        kinds = ", ".join(f"{n} {words}" for words, n in sorted(wrong.items(), key=lambda item: -item[1]))
        return f"{sum(wrong.values())} of {tries}{kinds and f' ({kinds})'}"

    lines = ["| kind | tries | faults before | now |", "|---|---|---|---|"]
    lines += [
        f"| {title} | {row[0]} | {cell(before.get(title))} | {cell(row)} |" for title, row in now.items()
    ]
    return "\n".join(lines)


def quick_pictures() -> None:
    """Leave out pictures, which take most of the time of such short runs."""

    def draw(trace: Any, path: Path, image_of: Any = None) -> Path:
        files.write_text(path, str(trace.span.tolist()))
        return path

    train.draw_retention = draw
    episode_media.draw_heatmap = lambda trace: np.zeros((4, 4, 3), np.uint8)


def main() -> int:
    """0 if nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quick_pictures()
    now = count(given.every, given.only)
    if given.json:
        given.json.write_text(json.dumps(now, indent=2) + "\n")
    text = table(now, json.loads(given.before.read_text()) if given.before else {})
    print(text)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return int(any(wrong for _, wrong in now.values()))


if __name__ == "__main__":
    raise SystemExit(main())
