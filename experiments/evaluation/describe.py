"""Scores as text: cells of a row, and what `expirespan evaluate` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expirespan.experiments.episodes.cue_retention import Retention
from expirespan.experiments.evaluation.evaluate import EvaluationResult, Score
from expirespan.experiments.terminal.text import fitted

WIDTHS = {
    "": 7, "steps": 10, "success": 9, "95 % interval": 17, "return": 9, "return, 95 %": 19, "longest": 9, "alive": 11,
    "steps/s": 10, "target": 13,
}  # fmt: skip
"""Characters of each column, its distance from the one before included."""
LEGEND = {
    "longest": "longest: success in the longest episodes.",
    "alive": "alive: memories per layer at the end of the longest episodes.",
}
"""What the headings mean that do not say it themselves."""


def cells(score: Score) -> dict[str, str]:
    """A score as cells by heading; what was not reported has none."""
    found = {}
    if score.success is not None and score.interval is not None:
        found["success"] = f"{score.success:.3f}"
        found["95 % interval"] = between(score.interval)
    found["return"] = number(score.mean_return)
    if score.success is None and score.return_interval is not None:
        found["return, 95 %"] = between(score.return_interval)
    if score.longest_success is not None:
        found["longest"] = f"{score.longest_success:.3f}"
    if score.alive_at_end:
        found["alive"] = layers(score.alive_at_end)
    return found


def line(cells: Mapping[str, str], headings: Iterable[str]) -> str:
    """Cells under their headings, right-aligned in columns of fixed width."""
    return "".join(f"{cells.get(heading, ''):>{WIDTHS[heading]}}" for heading in headings).rstrip()


def legend(headings: Iterable[str]) -> str:
    """What the headings mean."""
    return " ".join(LEGEND[heading] for heading in headings if heading in LEGEND)


def world(env: str, settings: Mapping[str, Any]) -> str:
    """An environment, and those of its settings that are set."""
    known = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return f"{env} ({known})" if known else env


def not_ended(score: Score) -> str:
    """How many episodes were cut off, in a sentence; empty if none was."""
    if not score.not_ended:
        return ""
    return (
        f"{score.not_ended:,} of {score.episodes:,} episodes did not end: they were cut off at the limit of steps, and "
        "count with their return so far and as no success."
    )


def number(value: float) -> str:
    """A number with four digits, thousands in full, and at most three places."""
    if not math.isfinite(value):
        return str(value)
    whole = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:,.{min(3, max(0, 4 - whole))}f}"


def between(interval: Sequence[float]) -> str:
    """An interval: "0.981 to 1.000"."""
    low, high = interval
    return f"{number(low)} to {number(high)}"


def layers(counts: Sequence[float]) -> str:
    """A number of memories for each layer: "9 / 10"; of more than three layers the least and the most."""
    if len(counts) > 3:
        return f"{min(counts):,.0f} to {max(counts):,.0f}"
    return " / ".join(f"{count:,.0f}" for count in counts)


def describe_retention(retention: Retention) -> str:
    """What was made of the cues, in one line."""

    def shown(value: float | None, form: str = ",.0f") -> str:
        return "-" if value is None else format(value, form)

    r = retention
    return (
        f"at the decision precision {shown(r.precision, '.3f')}, recall {shown(r.recall, '.3f')}, newest "
        f"{shown(r.newest, '.3f')}; median life {shown(r.cue_life)} steps, of the rest {shown(r.other_life)}; "
        f"a window that holds the same reads {shown(r.window)}, memory saved {shown(r.memory_saved, '.1%')}"
    )


def show_result(result: EvaluationResult) -> None:
    """Print an evaluation: a row each for the agent, chance and the oracle, then details of the agent's."""
    agent = result.agent
    played = f"{agent.episodes:,} episodes after {result.trained_steps:,} steps of training"
    print(fitted(f"{world(result.env, result.settings)}: {played}"))
    rows = {
        name: cells(score) | {"": name, "steps/s": f"{score.steps_per_second:,.0f}"}
        for name, score in (("agent", agent), ("chance", result.random), ("oracle", result.oracle))
        if score is not None
    }
    headings = [heading for heading in WIDTHS if any(heading in row for row in rows.values())]
    print(line({heading: heading for heading in headings}, headings))
    for row in rows.values():
        print(line(row, headings))
    if legend(headings):
        print(fitted(legend(headings)))
    for bucket in agent.by_length:
        rate = "-" if bucket.success is None else f"{bucket.success:.3f} ({between(bucket.interval)})"
        print(
            f"  length {bucket.low:>6,} to {bucket.high:<6,} success {rate} in {bucket.episodes:,} episodes"
        )
    if agent.not_ended:
        print(fitted(f"  {not_ended(agent)}", "    "))
    if agent.alive:
        print(f"  alive on average over all steps: {layers(agent.alive)}")
    if agent.retention is not None:
        print(fitted(f"  cues: {describe_retention(agent.retention)}", "    "))
    for time in agent.step_times:
        print(
            f"  {time.milliseconds:.2f} ms per step of {time.envs} environments around timestep {time.step:,}"
        )
