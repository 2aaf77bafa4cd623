from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expirespan.experiments.episodes.cue_retention import (
    CueMeter,
    Retention,
    decision,
    summarise_retention,
    window_alive,
)
from expirespan.experiments.episodes.played import Episode, Played, joined
from expirespan.experiments.episodes.playing import OraclePlayer, PolicyPlayer, play
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.evaluation.describe import describe_retention, show_result
from expirespan.experiments.evaluation.evaluate import evaluate
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.settings import Config, CorridorSettings, FixedWindowSettings, LSTMSettings

ENV = CorridorSettings(20, 20)


def retention_of(trace: EpisodeTrace) -> Retention | None:
    """Of a single recorded episode; None if it has no cue or its memory no spans."""
    if not trace.layers or not trace.cue.any():
        return None
    last = trace.steps - 1
    success = trace.about.get("success")
    return summarise_retention(
        [decision(trace.cue, [np.flatnonzero(death >= last) for death in trace.death])],
        lives=trace.span.max(0) + float(trace.about.get("ramp") or 0),
        is_cue=trace.cue,
        steps=np.array([float(trace.steps)]),
        alive=trace.alive.mean(1, keepdims=True),
        success=np.array([np.nan if success is None else float(success)]),
    )


def flags(*marked: int, steps: int) -> Any:
    return np.isin(np.arange(steps), marked)


def test_a_decision_by_hand() -> None:
    # cues: 0-1, 4 and 8 of ten steps; layer 1 holds 1, 7 and 8, layer 2 holds 1; the last step, 9, is no memory
    found = decision(flags(0, 1, 4, 8, steps=10), [np.array([1, 7, 8, 9]), np.array([-1, 1, 9])])
    assert found.precision == 3 / 4, "1, 8 and 1 again are of cues, 7 is not"
    assert found.recall == 2 / 3, "the cues 0-1 and 8, not 4"
    assert found.newest == 1
    assert found.reach == 8, "from 9 back to 1"
    lost = decision(flags(0, 4, steps=10), [np.array([0, 8])])
    assert (lost.precision, lost.recall, lost.newest, lost.reach) == (0.5, 0.5, 0, 9)


def test_decisions_with_nothing_to_tell() -> None:
    empty = decision(flags(0, steps=5), [np.array([], int)])
    assert np.isnan(empty.precision) and empty.recall == 0 and empty.reach == 0
    no_cue = decision(flags(steps=5), [np.array([1, 2])])
    assert no_cue.precision == 0 and np.isnan(no_cue.recall) and np.isnan(no_cue.newest)
    at_once = decision(flags(0, steps=1), [])
    assert np.isnan(at_once.recall), "a cue at the decision itself needs no memory"


def test_saving_by_hand() -> None:
    # one success of 4 steps holds a cue 2 steps old: a window of 3, which reads 1, 2, 3, 3; here 1, 2, 2, 2
    found = summarise_retention(
        [decision(flags(1, steps=4), [np.array([1])]), decision(flags(0, steps=9), [np.array([0])])],
        lives=np.array([9.0, 3.0, 5.0, 1.0]),
        is_cue=np.array([True, False, False, False]),
        steps=np.array([4.0, 9.0]),
        alive=np.array([[7 / 4, 1.0]]),
        success=np.array([1.0, 0.0]),
    )
    assert found.window == 3, "what failed needs no window"
    assert found.memory_saved == pytest.approx(1 - 7 / 9)
    assert (found.precision, found.recall, found.newest) == (1, 1, 1)
    assert (found.cue_life, found.other_life) == (9, 3)


@given(steps=st.integers(1, 200), window=st.integers(1, 250))
def test_states_a_window_reads(steps: int, window: int) -> None:
    counted = np.minimum(np.arange(steps) + 1, window).mean()
    assert window_alive(np.array([steps]), window)[0] == pytest.approx(counted)


@given(steps=st.integers(3, 80), at=st.integers(0, 70), extra=st.integers(0, 30))
def test_a_window_saves_nothing_against_itself(steps: int, at: int, extra: int) -> None:
    """Whose oldest held cue is as old as the window: exactly 0; with a longer window the saving is negative."""
    at = min(at, steps - 2)
    window = steps - at  # just holds `at` at the last step
    remembered = np.arange(max(0, steps - window - extra), steps)
    found = summarise_retention(
        [decision(flags(at, steps=steps), [remembered])],
        lives=np.ones(steps),
        is_cue=flags(at, steps=steps),
        steps=np.array([float(steps)]),
        alive=window_alive(np.array([float(steps)]), window + extra)[None],
        success=np.array([np.nan]),
    )
    assert found.window == window and found.recall == 1
    assert found.memory_saved is not None
    assert found.memory_saved == pytest.approx(0) if extra == 0 or at == 0 else found.memory_saved < 0


def agent_of(config: Config) -> Any:
    return agent_making.make_agent(config, world_making.make_training_env(config))


class Guided(PolicyPlayer):
    """The agent remembers, the oracle acts: episodes succeed, in as many steps as the corridor has cells and one."""

    def act(self, observations: Any, starts: Any, playing: Any, masks: Any = None) -> Any:
        if not hasattr(self, "oracle"):
            self.oracle = OraclePlayer(ENV, len(starts))
        _, alive = super().act(observations, starts, playing, masks)
        return self.oracle.act(observations, starts, playing)[0], alive


@pytest.mark.parametrize("short", [False, True])
def test_playing_and_recording_agree(tiny: Config, short: bool) -> None:
    """The numbers over episodes, of those of one, are the numbers of its trace."""
    agent = agent_of(replace(tiny, memory=replace(tiny.memory, max_span=3 if short else 512)))
    played = play(PolicyPlayer(agent, 1), ENV, 1, 1, seed=3)
    trace = record_episode(agent, ENV, 3)
    found = retention_of(trace)
    assert found is not None and played.retention is not None
    for name, value in asdict(found).items():
        other = getattr(played.retention, name)
        assert other == (value if value is None else pytest.approx(value, rel=1e-5)), name
    assert found.recall is not None and (found.recall < 1 if short else found.recall == 1)
    for layer in range(trace.layers):  # what the numbers rest on: deaths and counts tell the same
        at = np.arange(trace.steps)
        read = (at[:, None] <= at) & (trace.death[layer][:, None] >= at)
        np.testing.assert_array_equal(read.sum(0), trace.alive[layer])


def test_many_environments_are_as_one_at_a_time(tiny: Config) -> None:
    """Rows of the memory shrink as environments end, and each plays several episodes."""
    agent, env = agent_of(tiny), CorridorSettings(3, 20)
    together = play(Guided(agent, 3), env, 7, 3, seed=7)
    assert len(set(together.steps)) > 1 and together.success.all()
    found = [play(Guided(agent, 1), env, n, 1, seed=7 + i).retention for i, n in enumerate((3, 2, 2))]
    assert together.retention is not None and all(found)
    for name in ("recall", "precision", "newest"):
        weighted = np.average([getattr(one, name) for one in found], weights=(3, 2, 2))
        assert getattr(together.retention, name) == pytest.approx(weighted), name
    assert together.retention.window == max(together.steps), "the ball is only seen at the start"
    keeps_all = together.retention.memory_saved
    assert keeps_all == pytest.approx(0), "spans of 29 steps are longer than every episode"


def test_a_window_in_long_corridors_holds_no_cue(tiny: Config) -> None:
    agent = agent_of(replace(tiny, memory=FixedWindowSettings(width=16, heads=2, window=5)))
    found = play(Guided(agent, 4), ENV, 8, 4, seed=0).retention
    assert found is not None
    assert (found.precision, found.recall, found.newest) == (0, 0, 0)
    assert (found.window, found.memory_saved) == (None, None)
    assert (found.cue_life, found.other_life) == (4, 4), "the window less the step itself"
    assert "recall 0.000" in describe_retention(found) and "reads -" in describe_retention(found)


def test_players_and_memories_without_spans_have_no_retention(tiny: Config) -> None:
    assert play(OraclePlayer(ENV, 2), ENV, 2, 2, seed=0).retention is None
    agent = agent_of(replace(tiny, memory=LSTMSettings(width=16)))
    assert play(PolicyPlayer(agent, 2), ENV, 2, 2, seed=0).retention is None
    assert retention_of(record_episode(agent, ENV, 0)) is None


def test_no_cue_no_retention() -> None:
    meter = CueMeter(1)
    meter.step(np.array([False]), np.ones(1), np.array([True]), np.array([True]))
    decided = meter.end(0, [np.array([], int)])
    one = Episode(1, 0, 0.0, 1.0, 1.0, np.nan, True, np.ones(1), np.ones(1), decided)
    assert joined([Played([one], [(0.1, 1)], 1, 0.1, *meter.observations())]).retention is None


def test_evaluation_tells_it(tiny: Config, capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluate(agent_of(tiny), ENV, 4, 4, seed=0)
    assert '"retention": {\n      "precision"' in result.to_json()
    assert result.agent.retention is not None and result.random.retention is None
    show_result(result)
    assert "cues: at the decision precision 0." in capsys.readouterr().out
