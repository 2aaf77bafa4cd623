"""The verdict on an episode, the decisive step and the tables, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.episodes.verdict import (
    Decisive,
    decisive,
    first_difference,
    kinds,
    longest_kept,
    same_episode,
    verdict,
)

WORDS = np.array(["the red ball", "walls", "walls", "walls", "walls", "walls", "the doors", "the doors"])


def what_if(trace: EpisodeTrace, *found: tuple[int, int, float], **more: Any) -> EpisodeTrace:
    """The trace with shifts by step, memory and nats; without the memory action 0 has the probability 0.25."""
    T = trace.steps
    removed, shift = np.full((T, 2), -1, np.int32), np.zeros((T, 2), np.float32)
    for t, memory, nats in found:
        place = int((removed[t] >= 0).sum())
        removed[t, place], shift[t, place] = memory, nats
    return replace(
        trace,
        removed=removed,
        shift=shift,
        value_without=shift,
        probability=np.full((T, 2), [0.9, 0.1], np.float32),
        without=np.full((T, 2, 2), [0.25, 0.75], np.float32),
        **more,
    )


def one(make_trace: Any, steps: int = 8) -> EpisodeTrace:
    """Layer 1 keeps only the observation of step 0; all others are gone after three steps."""
    trace = make_trace(steps)
    death = trace.death.copy()
    death[0, 1] = 4
    return replace(trace, death=death, about=trace.about | {"actions": ["go", "stop"]})


def test_the_decisive_step_is_that_of_the_greatest_shift_of_an_old_memory(make_trace: Any) -> None:
    """The ramp is 1: a memory of age 1 is not old, however much it shifts."""
    trace = what_if(one(make_trace), (3, 2, 9.0), (4, 0, 0.5), (7, 0, 2.0), (7, 6, 5.0), (6, 4, 1.0))
    assert decisive(trace) == Decisive(7, 0, 2.0, True)
    assert decisive(trace, 4) == Decisive(6, 4, 1.0, True)
    assert decisive(trace, 2) == Decisive(3, 2, 9.0, True), "where none becomes old, all count"
    assert decisive(trace, 5) is None


def test_without_what_if_it_is_that_of_the_greatest_attention(make_trace: Any) -> None:
    """Two layers: the mean of 0.8 and 0.4 is more than that of 1 and 0."""
    attended = np.full((2, 8, 2), -1, np.int32)
    attention = np.zeros((2, 8, 2), np.float16)
    attended[0, 5, 0], attention[0, 5, 0] = 0, 1.0
    attended[:, 6, 1], attention[:, 6, 1] = 0, [0.8, 0.4]
    trace = replace(one(make_trace), attended=attended, attention=attention)
    found = decisive(trace)
    assert found is not None and found[:2] == (6, 0) and found.amount == pytest.approx(0.6, abs=1e-3)
    assert verdict(replace(trace, words=WORDS)) == (
        "The agent keeps 4 of 8 observations. Longest: the red ball of step 0, for 7 steps; it is read most at step 6, "
        'with 60% of the attention, where the agent takes "go".'
    )
    assert decisive(make_trace(8)) is None


def test_the_verdict_says_what_the_memory_was_for(make_trace: Any) -> None:
    trace = one(make_trace)
    ball = "The agent keeps 4 of 8 observations. Longest: the red ball of step 0, for 7 steps"
    assert verdict(what_if(trace, (7, 0, 2.0), words=WORDS)) == (
        f'{ball}; it decides step 7, where the agent takes "go" with probability 0.90, without it 0.25.'
    )
    assert verdict(what_if(trace, (6, 3, 2.0), words=WORDS)).startswith(
        f"{ball}; the memory of step 3 (walls) decides step 6"
    )
    assert verdict(what_if(trace, (6, 0, 0.001), words=WORDS)) == (
        f"{ball}; no choice of an action depends on any one old memory."
    )
    assert "Longest: the cue of step 0, for 7 steps; it decides" in verdict(what_if(trace, (7, 0, 2.0)))
    continuous = what_if(trace, (7, 0, 2.0), action=np.full((8, 2), 0.5, np.float32))
    assert "where the agent takes action 0.5, 0.5; without it the actions shift by 2 nats." in verdict(
        continuous
    )


def test_extremes(make_trace: Any) -> None:
    everything = replace(make_trace(3), death=np.full((2, 3), 3, np.int32))
    assert (
        verdict(everything)
        == "The agent keeps all 3 observations and deletes none, so the first for 2 steps."
    )
    window = make_trace(8)
    assert verdict(replace(window, about=window.about | {"ramp": 0.0})) == (
        "This memory gives all observations one span; it keeps the last 5 of 8."
    )
    assert "one state" in verdict(make_trace(8, 0))
    assert verdict(make_trace(1)) == "The agent keeps 1 of 1 observations, none for a step or more."
    assert longest_kept(make_trace(8, 0), 3) == [] == kinds(make_trace(8, 0))


def test_the_longest_kept(make_trace: Any) -> None:
    trace = one(make_trace)
    assert [tuple(row) for row in longest_kept(trace, 3)] == [(0, 8.0, 0, 7), (1, 8.0, 0, 3), (2, 2.0, 1, 3)]


def test_kinds_are_what_looks_alike(make_trace: Any) -> None:
    """Step 1 looks like walls, but is a cue; without words, all observations look alike."""
    trace = replace(one(make_trace), words=WORDS)
    assert [(kind.steps.tolist(), kind.median_span, kind.kept) for kind in kinds(trace)] == [
        ([0], 8.0, 1), ([1], 8.0, 0), ([2, 3, 4, 5], 2.0, 1), ([6, 7], 2.0, 2),
    ]  # fmt: skip
    assert [kind.steps.tolist() for kind in kinds(one(make_trace))] == [[0, 1], [2, 3, 4, 5, 6, 7]]
    different = replace(trace, words=np.array([str(t) for t in range(8)]))
    assert [kind.steps.tolist() for kind in kinds(different)] == [[0, 1], [2, 3, 4, 5, 6, 7]], "by cue alone"


def test_where_two_agents_first_differ(make_trace: Any) -> None:
    a = make_trace(8)
    b = replace(a, action=np.array([0, 0, 0, 1, 0, 1, 0, 0]))
    assert first_difference(a, b) == 3
    assert first_difference(a, a) is None
    assert first_difference(a, make_trace(5)) == 5, "only one still plays"
    assert not same_episode(a, a), "the seed is unknown"
    seeded = replace(a, about=a.about | {"seed": 1, "settings": {"length": 3}})
    assert same_episode(seeded, replace(seeded, action=b.action))
    for name, value in (("seed", 2), ("env", "other"), ("settings", {})):
        assert not same_episode(seeded, replace(seeded, about=seeded.about | {name: value}))
