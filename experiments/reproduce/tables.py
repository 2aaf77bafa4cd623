"""Tables of outcomes: on the terminal beside what is documented, and in README and docs.

A table in a Markdown file stands between ``<!-- outcomes: NAME -->`` and ``<!-- end -->``; `write_tables` writes it
from the JSON files in docs/results/reproduce, and a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from expirespan.experiments.reproduce.claims import CLAIMS, Claim
from expirespan.experiments.reproduce.outcome import Outcome, Scored, shortcomings
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.terminal.text import fill_tables

DOCUMENTED = Path("docs/results/reproduce")
"""Outcomes that the documentation shows."""
PAGES = (Path("README.md"), Path("docs/results.md"))
"""Files with tables."""
SUMMARY = "summary"
"""Name of the table of all tasks; the others are a task's, one row for each seed."""


def comparison(outcomes: Sequence[Outcome], documented: Path) -> str:
    """Each outcome beside the documented one of the same task and seed, as text."""
    rows = [["task", "seed", "measure", "documented: last / best", "now: last / best", ""]]
    for now in outcomes:
        file = documented / f"{now.task}-{now.seed}.json"
        before = Outcome.load(file) if file.exists() else None
        verdict = "ok" if not shortcomings(CLAIMS[now.task], now) else "falls short"
        if before is not None and before.evaluations == now.evaluations:
            verdict += ", the same evaluations"
        rows.append(
            [
                now.task,
                str(now.seed),
                "target at",
                _at(before.target) if before else "-",
                _at(now.target),
                verdict,
            ]
        )
        for name in now.last:
            rows.append(["", "", name, _both(before, name), _both(now, name), ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)


def write_tables(root: Path = Path()) -> list[Path]:
    """Write every table of README and docs anew; the files that have tables.

    Raises:
        UserError: there are none, so ``root`` is no checkout.
    """
    written = []
    for page in PAGES:
        if (root / page).is_file():
            write_text(root / page, with_tables((root / page).read_text(encoding="utf-8"), root / DOCUMENTED))
            written.append(root / page)
    if not written:
        raise UserError(
            f"no {' or '.join(map(str, PAGES))} in {root.absolute()}: run this in a checkout of the sources"
        )
    return written


def with_tables(text: str, folder: Path) -> str:
    """A page with the tables that the outcomes in ``folder`` give."""
    return fill_tables(text, "outcomes", lambda name: list(_table(name, folder)))


def read_outcomes(folder: Path, task: str) -> list[Outcome]:
    """Those of a task, by seed."""
    files = folder.glob(f"{task}-*.json")
    return sorted(
        (Outcome.load(f) for f in files if re.fullmatch(rf"{task}-\d+", f.stem)), key=lambda o: o.seed
    )


def _table(name: str, folder: Path) -> Iterator[list[str]]:
    if name == SUMMARY:
        return _summary(folder)
    if name not in CLAIMS:
        raise UserError(f"table {name!r} is no task: expected {SUMMARY} or one of {', '.join(CLAIMS)}")
    return _by_seed(CLAIMS[name], read_outcomes(folder, name))


def _by_seed(claim: Claim, outcomes: Sequence[Outcome]) -> Iterator[list[str]]:
    """One row for each seed, and one for all."""
    names = [measure.name for measure in claim.measures]
    held = claim.target
    yield [
        "seed", *(["target reached at", "evaluations after it: least, number"] if held else ["steps"]),
        *(f"{name}, last checkpoint; best" for name in names), "alive per layer, mean; at the end", "seconds", "commit",
    ]  # fmt: skip
    for o in outcomes:
        after = o.after_target()
        least = f"{min(after):.3f}, {len(after)}" if after else "-"
        first = o.last[names[0]]
        yield [
            str(o.seed), *([_at(o.target), least] if held else [_at(o.steps)]),
            *(f"{_with_interval(o.last[name])}; {o.best[name].score:.3f}" for name in names),
            f"{_slashed(first.alive)}; {_slashed(first.at_end or [])}", f"{o.seconds:,.0f}", _commit(o),
        ]  # fmt: skip


def _summary(folder: Path) -> Iterator[list[str]]:
    """One row for each task and measure, without rivals."""
    yield [
        "task",
        "seeds",
        "reached the target",
        "median steps to it",
        "measure",
        "last checkpoint: mean; least",
        "alive",
    ]
    for task, claim in CLAIMS.items():
        outcomes = [] if claim.rival else read_outcomes(folder, task)
        targets = [o.target for o in outcomes if o.target is not None]
        for i, measure in enumerate(claim.measures if outcomes else ()):
            scores = [o.last[measure.name].score for o in outcomes]
            alive = [layer for o in outcomes for layer in o.last[measure.name].at_end or []]
            about = [
                f"`{task}`", str(len(outcomes)), f"{len(targets)} of {len(outcomes)}",
                _at(int(median(targets))) if targets else "-",
            ]  # fmt: skip
            yield [
                *(about if i == 0 else [""] * 4), measure.name, f"{sum(scores) / len(scores):.3f}; {min(scores):.3f}",
                f"{min(alive):.1f} to {max(alive):.1f}" if alive else "-",
            ]  # fmt: skip


def _at(step: int | None) -> str:
    return "not reached" if step is None else f"{step / 1e6:.2f} M"


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values) or "-"


def _with_interval(scored: Scored) -> str:
    between = "" if scored.interval is None else " ({:.3f} to {:.3f})".format(*scored.interval)
    return f"{scored.score:.3f}{between}"


def _both(outcome: Outcome | None, name: str) -> str:
    if outcome is None or name not in outcome.last:
        return "-"
    return f"{outcome.last[name].score:.3f} / {outcome.best[name].score:.3f}"


def _commit(outcome: Outcome) -> str:
    return str(outcome.provenance.get("commit") or "-")[:7]
