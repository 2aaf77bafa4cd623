"""The sentence on what an episode's memory keeps, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expirespan.envs.corridor.rules import Layout, observe
from expirespan.envs.corridor.scalar import Corridor
from expirespan.envs.tmaze.scalar import EndlessTMaze
from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.showing import words_of
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.settings import CorridorSettings, GymSettings

AFTER = "after 3 steps (median), a cue at step 1 after 3."


def kept(trace: EpisodeTrace, *steps: int) -> EpisodeTrace:
    """The trace, with these observations kept in layer 2 and all others deleted after 3 steps."""
    death = np.minimum(np.arange(trace.steps) + 3, trace.steps - 1) + np.zeros((2, 1), np.int32)
    death[1, list(steps)] = trace.steps
    return replace(trace, death=death.astype(np.int32))


def test_by_hand(make_trace: Any) -> None:
    """Of ten steps, the cues at 0 and 1 and the last two; the others are gone three steps after they were seen."""
    trace = kept(make_trace(10), 0, 1, 8, 9)
    assert kept_sentence(trace) == (
        "The agent keeps 4 of 10 observations: a cue at steps 0 to 1 for 9 steps, and the last 2; it deletes the other "
        "6 after 3 steps (median)."
    )


def test_what_is_named_and_what_is_counted(make_trace: Any) -> None:
    """Cues first, two others, the rest as a number."""
    trace = kept(replace(make_trace(30), cue=np.arange(30) == 20), 2, 5, 8, 11, 20)
    found = kept_sentence(replace(trace, words=np.array(["walls"] * 30)))
    assert found.startswith(
        "The agent keeps 5 of 30 observations: walls at step 2 for 27 steps, walls at step 5 for 24 steps, walls at "
        "step 20 for 9 steps, and 2 others; "
    )


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (range(10), "keeps all 10 observations of the episode and deletes none."),
        ((8, 9), f"keeps 2 of 10 observations: the last 2; it deletes the other 8 {AFTER}"),
        ((), f"keeps 0 of 10 observations; it deletes the other 10 {AFTER}"),
    ],
)  # fmt: skip
def test_extremes(make_trace: Any, steps: Any, words: str) -> None:
    assert kept_sentence(kept(make_trace(10), *steps)) == f"The agent {words}"


def test_a_cue_among_the_last(make_trace: Any) -> None:
    trace = kept(replace(make_trace(10), cue=np.arange(10) == 8), 7, 8, 9)
    assert "the last 3 (with a cue at step 8); " in kept_sentence(trace)


def test_texts_are_quoted_and_cut(make_trace: Any) -> None:
    lines = np.array(["a bear  sleeps", "x" * 200, *["."] * 8])
    found = kept_sentence(kept(replace(make_trace(10), text=lines), 0, 1, 9))
    assert '"a bear sleeps" at step 0' in found
    assert f'"{"x" * 57}..." at step 1' in found


def test_without_spans_there_is_nothing_to_say(make_trace: Any) -> None:
    assert kept_sentence(make_trace(10, layers=0)) == ""
    window = make_trace(10)
    assert kept_sentence(replace(window, about=window.about | {"ramp": 0.0})) == "", (
        "every state has one span"
    )


def test_corridors_in_words() -> None:
    layout = Layout.parse({"length": 9, "ball": "blue", "red_door": "left"})
    words = [Corridor.observation_words(observe(layout, x, 2, 0)) for x in (1, 4, 7)]
    assert words == ["the blue ball", "walls", "the doors"]
    short = Layout.parse({"length": 3, "ball": "red", "red_door": "left"})
    assert Corridor.observation_words(observe(short, 1, 2, 0)) == "the red ball and the doors"
    assert Corridor.observation_words(observe(short, 3, 1, 3)) == "the red door"


def test_mazes_in_words() -> None:
    cells = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1), (0, 0, 0, 0.4)]
    assert [EndlessTMaze.observation_words(np.float32(cell)) for cell in cells] == [
        "the cue to turn left", "the cue to turn right", "a junction", "the corridor"
    ]  # fmt: skip


def test_words_follow_the_environment() -> None:
    assert words_of(CorridorSettings()) is Corridor.observation_words
    assert words_of(GymSettings(id="CartPole-v1")) is None
    stacked = words_of(GymSettings(id="ExpireSpan/Corridor-v0", frame_stack=2))
    layout = Layout.parse({"length": 9, "ball": "blue", "red_door": "left"})
    assert stacked is not None
    assert stacked(np.stack([observe(layout, 4, 2, 0), observe(layout, 1, 2, 0)])) == "the blue ball"
