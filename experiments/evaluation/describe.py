"""Scores as text."""

from __future__ import annotations

from expirespan.experiments.episodes.cue_retention import Retention
from expirespan.experiments.evaluation.evaluate import EvaluationResult, Score


def describe(score: Score) -> str:
    """A score in one line."""
    parts = []
    if score.success is not None and score.interval is not None:
        parts.append(f"success {score.success:.3f} ({score.interval.low:.3f}-{score.interval.high:.3f})")
    between = "" if score.return_interval is None else " ({:.3f}-{:.3f})".format(*score.return_interval)
    parts.append(f"return {score.mean_return:.3f}{between}")
    if score.longest_success is not None:
        parts.append(f"longest {score.longest_success:.2f}")
    if score.alive:
        parts.append(f"alive {'/'.join(f'{count:.0f}' for count in score.alive)}")
    if score.alive_at_end:
        parts.append(f"at the longest's end {'/'.join(f'{count:.0f}' for count in score.alive_at_end)}")
    return ", ".join(parts)


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
    """Print an evaluation as a table."""
    print(f"{result.env} {result.settings}, trained for {result.trained_steps:,} steps")
    for name, score in (("agent", result.agent), ("random", result.random), ("oracle", result.oracle)):
        if score is not None:
            print(f"{name:>8}: {describe(score)}; {score.steps_per_second:,.0f} steps/s")
    for bucket in result.agent.by_length:
        low, high = bucket.interval
        rate = "-" if bucket.success is None else f"{bucket.success:.3f} ({low:.3f}-{high:.3f})"
        print(f"  length {bucket.low:>6,}-{bucket.high:<6,} success {rate} in {bucket.episodes:,} episodes")
    if result.agent.retention is not None:
        print(f"  cues: {describe_retention(result.agent.retention)}")
    for time in result.agent.step_times:
        print(
            f"  {time.milliseconds:.2f} ms per step of {time.envs} environments around timestep {time.step:,}"
        )
