"""Counts what goes wrong when runs are stopped or resumed twice at once, meet misbehaving environments, odd names and
damaged files.

``python tests/reliability.py`` prints the table of docs/reliability.md; ``--write`` puts it there, ``--every N`` tries
every N-th case, ``--only WORDS`` the rows with these words. ``--json FILE`` keeps the counts; ``--before FILE`` has
those of other code.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from expirespan.experiments.run_folder import files  # noqa: E402
from expirespan.experiments.training import train  # noqa: E402
from expirespan.experiments.viewer import episode_media  # noqa: E402
from tests.experiments.files.kinds import KINDS  # noqa: E402
from tests.experiments.files.tries import attempts  # noqa: E402
from tests.experiments.reliability.forks import in_a_fork  # noqa: E402
from tests.experiments.reliability.rows import ROWS  # noqa: E402

FEW, SHORT = 12, 16
"""Cases of a row that is tried as a whole, unless so few of all are wanted, or fewer."""
DAMAGES = 12
"""Random damages of each sort to a file; others are not random, and as many as the file has parts."""
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
    "another value": "read as something else",
    "no sentence": "no sentence",
    "MB of memory": "too much memory",
    "more than 2 s": "hung",
    "killed by": "process gone",
    "Error: ": "traceback",
}
"""What was wrong, by a part of what a try says."""
PAGE = ROOT / "docs" / "reliability.md"
BEFORE = ROOT / "tests" / "experiments" / "reliability" / "before.json"
"""Counts of commit b77b7d2."""
NOW = ROOT / "docs" / "results" / "reliability.json"
"""Counts in the table. Those of rows that are not tried stay."""
BEGIN, END = "<!-- tries -->", "<!-- end of tries -->"
Counts = dict[str, tuple[int, dict[str, int]]]
"""Tries and faults of each row, those by what was wrong."""


def count(every: int, only: str = "") -> Counts:
    """Try the cases. Of rows with few, all are tried.

    ``only``: rows with this in their title.
    """
    found = {}
    for title, tries in ROWS.items():
        if only not in title:
            continue
        cases, wrong = list(tries()), Counter[str]()
        chosen = cases[:: every if len(cases) > FEW or every >= SHORT else 1]
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


def count_files(every: int, only: str = "") -> Counts:
    """Try damaged files of every kind."""
    found = {}
    for kind in KINDS:
        title = f"damaged files: {kind.name}"
        if only not in title:
            continue
        tried, wrong = attempts(kind, DAMAGES, every=every)
        print(*wrong, f"{title}: {len(wrong)} of {tried}", sep="\n  ", file=sys.stderr, flush=True)
        found[title] = tried, dict(Counter(map(label, wrong)))
    return found


def label(said: str) -> str:
    """What was wrong with a try, in one or two words."""
    return next((words for part, words in LABELS.items() if part in said), "otherwise")


def table(now: dict[str, Any], before: dict[str, Any]) -> str:
    """Markdown."""

    def cell(row: Any) -> str:
        if row is None:
            return "not measured"
        tries, wrong = row
        kinds = ", ".join(
            f"{n} {words}" for words, n in sorted(wrong.items(), key=lambda item: -item[1]) if words
        )
        return f"{sum(wrong.values())} of {tries}{kinds and f' ({kinds})'}"

    lines = ["| kind | tries | faults before | now |", "|---|---|---|---|"]
    lines += [
        f"| {title} | {row[0]} | {cell(before.get(title))} | {cell(row)} |" for title, row in now.items()
    ]
    return "\n".join(lines)


def lines(counts: Counts) -> str:
    """JSON with a row in each line."""
    rows = [f"  {json.dumps(title)}: {json.dumps(row)}" for title, row in counts.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


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
    parser.add_argument("--before", type=Path, default=BEFORE)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quick_pictures()
    now = count(given.every, given.only) | count_files(given.every, given.only)
    if given.json:
        given.json.write_text(lines(now))
    before = json.loads(given.before.read_text(encoding="utf-8"))
    print(table(now, before))
    if given.write:
        kept = json.loads(NOW.read_text(encoding="utf-8")) | now
        NOW.write_text(lines(kept))
        text, page = table(kept, before), PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return int(any(wrong for _, wrong in now.values()))


if __name__ == "__main__":
    raise SystemExit(main())
