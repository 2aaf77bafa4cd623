"""Counts what comes of wrong values: ``python tests/mistakes/count.py`` prints the table of docs/mistakes.md.

``--write`` puts it there, ``--every N`` tries every N-th case, ``--before PYTHON`` tries them with another version too:
the interpreter of an environment in which that is installed. The exit code is 1 if a case is not clear.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from cases import cases  # noqa: E402
from trying import Case  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "mistakes.md"
BEGIN, END = "<!-- counts -->", "<!-- end of counts -->"
OUTCOMES = ("clear", "vague", "internal", "slow", "accepted")
Answers = list[tuple[str, str]]


def tried(python: str, chosen: list[Case]) -> tuple[Answers, float]:
    """The answers of the version that an interpreter has, and the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "cases"), Path(folder, "answers")
        given.write_bytes(pickle.dumps([tuple(case) for case in chosen]))
        began = time.monotonic()
        subprocess.run(
            [python, HERE / "trying.py", given, found], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        return json.loads(found.read_text(encoding="utf-8")), time.monotonic() - began


def table(chosen: list[Case], versions: dict[str, Answers]) -> str:
    """A row for each kind of case and version."""
    head = "| kind | version | tries | " + " | ".join(OUTCOMES) + " |"
    rows = [head, "|" + "---|" * (len(OUTCOMES) + 3)]
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for kind in [*dict.fromkeys(case.kind for case in chosen), "all"]:
        for version, found in versions.items():
            counts = sums[version] if kind == "all" else Counter(
                outcome for case, (outcome, _) in zip(chosen, found, strict=True) if case.kind == kind
            )  # fmt: skip
            if kind != "all":
                sums[version] += counts
            tries = sum(counts[outcome] for outcome in OUTCOMES)
            cells = " | ".join(f"{counts[outcome]:,}" for outcome in OUTCOMES)
            rows.append(f"| {kind} | {version} | {tries:,} | {cells} |")
    return "\n".join(rows)


def main() -> int:
    """Try, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--before")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--show", type=int, default=20, help="cases that are not clear to print")
    options = parser.parse_args()
    chosen = list(cases())[:: options.every]
    versions: dict[str, Answers] = {}
    for version, python in (("0.1", options.before), ("now", sys.executable)):
        if python:
            versions[version], seconds = tried(python, chosen)
            print(f"{version}: {len(chosen):,} cases in {seconds:.0f} s", file=sys.stderr)
    made = table(chosen, versions)
    print(made)
    wrong = [
        (case, answer) for case, answer in zip(chosen, versions["now"], strict=True) if answer[0] != "clear"
    ]
    for case, (outcome, said) in wrong[: options.show]:
        print(f"{outcome}: {case.how} {str(case.what)[:200]}: {said[:300]}", file=sys.stderr)
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
