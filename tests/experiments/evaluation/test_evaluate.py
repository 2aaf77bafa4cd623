from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from expirespan.agents import MemoryPPO
from expirespan.experiments.episodes.playing import (
    Episodes,
    OraclePlayer,
    PolicyPlayer,
    RandomPlayer,
    has_oracle,
    play,
)
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.evaluation.evaluate import evaluate, score, summarise
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.making.agents import override_max_span
from expirespan.experiments.settings import (
    Config,
    CorridorSettings,
    FixedWindowSettings,
    GymSettings,
    LSTMSettings,
    PortalSettings,
)
from expirespan.experiments.settings.errors import UserError

ENV = CorridorSettings(3, 20)


def test_the_oracle_succeeds_always() -> None:
    result = score(OraclePlayer(ENV, 16), ENV, 50, 16, seed=5)
    assert result.success == 1.0
    assert result.interval is not None and result.interval.high == 1.0
    assert result.mean_return == 1.0
    assert result.longest_success == 1.0
    assert sum(bucket.episodes for bucket in result.by_length) == result.episodes == 50
    assert result.by_length[0].low == 3 and result.by_length[-1].high == 20
    assert result.alive == []


def test_chance_is_as_on_the_environment_s_card() -> None:
    env = CorridorSettings(3, 3)
    result = score(
        RandomPlayer(world_making.make_envs(env, 1).single_action_space, 100, 0), env, 4000, 100, seed=0
    )
    assert result.interval is not None and result.success is not None
    assert 0.05 < result.success < 0.5
    assert result.mean_return == result.success


class _Straight:
    """Walks, and enters any door: right half of the time, in a time that depends on the length alone."""

    def act(self, observations: Any, starts: Any, playing: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        views = np.asarray(observations, bool)
        door = views[:, 1, 0, 4:].any(1) | views[:, 2, 0, 4:].any(1)
        facing = views[:, 1, 1, 4:].any(1)
        return np.select([facing, door & ~views[:, 1, 1, 0]], [2, 0], default=2), np.zeros((0, len(starts)))


def test_short_episodes_are_not_preferred() -> None:
    """Each environment plays its share, whatever it takes: lengths come as they are drawn."""
    env = CorridorSettings(3, 200)
    played = play(OraclePlayer(env, 10), env, 400, 10, seed=3)
    assert len(played.steps) == 400
    assert played.length.mean() == pytest.approx(101.5, abs=4 * 57 / np.sqrt(400))
    envs = world_making.make_envs(env, 10)
    envs.reset(seed=3)
    np.testing.assert_array_equal(played.steps, played.length + 1)


def test_episodes_do_not_depend_on_what_else_is_asked() -> None:
    """The first episodes of an environment are the same however many follow."""
    few = play(OraclePlayer(ENV, 4), ENV, 4, 4, seed=1)
    many = play(OraclePlayer(ENV, 4), ENV, 12, 4, seed=1)
    assert sorted(few.length) == sorted(many.length[: len(few.length)]) or set(few.length) <= set(many.length)
    uneven = play(OraclePlayer(ENV, 4), ENV, 6, 4, seed=1)
    assert len(uneven.steps) == 6


def agent_of(config: Config) -> Any:
    return agent_making.make_agent(config, world_making.make_training_env(config))


def test_an_agent_s_score(tiny: Config) -> None:
    agent = agent_of(tiny)
    result = evaluate(agent, ENV, 30, 8, seed=2)
    data = json.loads(result.to_json())
    assert data["oracle"]["success"] == 1.0
    assert data["agent"]["episodes"] == 30
    assert data["provenance"]["machine"]["cores"] >= 1
    assert result.max_span == [32.0, 32.0]
    again = evaluate(agent, ENV, 30, 8, seed=2).agent
    assert replace(again, steps_per_second=0, step_times=[]) == replace(
        result.agent, steps_per_second=0, step_times=[]
    )


def test_idle_environments_change_nothing(tiny: Config) -> None:
    """With one environment per episode the batch shrinks as episodes end; with one in all it never does."""
    agent = agent_of(tiny)
    together = play(PolicyPlayer(agent, 6), ENV, 6, 6, seed=7)
    alone = [play(PolicyPlayer(agent, 1), ENV, 1, 1, seed=7 + i) for i in range(6)]
    order = np.argsort([one.steps[0] for one in alone], kind="stable")
    np.testing.assert_array_equal(together.steps, [alone[i].steps[0] for i in order])
    assert together.alive.mean() == pytest.approx(np.mean([one.alive.mean() for one in alone]))


def test_memories_alive_of_a_window_are_known(tiny: Config) -> None:
    agent = agent_of(replace(tiny, memory=FixedWindowSettings(width=16, heads=2, window=5)))
    played = play(PolicyPlayer(agent, 4), ENV, 8, 4, seed=0)
    np.testing.assert_array_equal(played.alive_at_end, np.minimum(played.steps, 5)[None].repeat(2, 0))
    known = [np.minimum(np.arange(steps) + 1, 5).mean() for steps in played.steps]
    np.testing.assert_allclose(played.alive[0], known)
    trace = record_episode(agent, CorridorSettings(20, 20), 0)
    assert trace.kept.sum(1).tolist() == [4, 4], "of five readable, four are left for the next step"
    assert (trace.span == 4).all()
    assert (trace.death[:, 0] == 4).all(), "gone after step 4, as step 5 could not read it"


def test_recurrent_memories_have_no_spans(tiny: Config) -> None:
    agent = agent_of(replace(tiny, memory=LSTMSettings(width=16)))
    result = evaluate(agent, ENV, 4, 4, seed=0)
    assert result.agent.alive == []
    assert record_episode(agent, ENV, 0).layers == 0
    with pytest.raises(UserError, match="lstm"):
        override_max_span(agent, 10)


def test_longer_spans_keep_more(tiny: Config) -> None:
    agent = agent_of(tiny)
    env = CorridorSettings(100, 100)
    before = record_episode(agent, env, 0)
    override_max_span(agent, 64)
    after = record_episode(agent, env, 0)
    assert before.span[:, 0] == pytest.approx(0.9 * 32)
    assert after.span[:, 0] == pytest.approx(0.9 * 64)
    assert after.kept.sum() > before.kept.sum()
    with pytest.raises(UserError, match="max-span=-1"):
        override_max_span(agent, -1)


def test_only_long_spans_can_be_raised(tiny: Config) -> None:
    agent = agent_of(tiny)
    override_max_span(agent, 64, "long")
    assert evaluate(agent, ENV, 2, 2, seed=0).stretch == [2.0, 2.0]
    override_max_span(agent, 32, "long")
    with pytest.raises(UserError, match="max-span: max_span must be at least that of training, 32"):
        override_max_span(agent, 31, "long")
    window = agent_of(replace(tiny, memory=FixedWindowSettings(width=16, heads=2)))
    with pytest.raises(UserError, match="max-span: FixedWindow learns no spans"):
        override_max_span(window, 64, "long")


def episodes(lengths: list[int], success: list[float], steps: int = 10_000) -> Episodes:
    n = len(lengths)
    return Episodes(
        returns=np.asarray(success),
        steps=np.full(n, 10.0),
        success=np.asarray(success),
        length=np.asarray(lengths, float),
        ended=np.full(n, True),
        alive=np.arange(2.0 * n).reshape(2, n),
        alive_at_end=np.arange(2.0 * n).reshape(2, n) + 1,
        seconds=2.0,
        step_seconds=np.linspace(1, 2, steps),
        step_envs=np.full(steps, 7.0),
        first_end=steps,
    )


def test_summary_by_hand() -> None:
    result = summarise(episodes([3, 12, 191, 200], [1, 0, 1, 0]), CorridorSettings(3, 200))
    assert result.success == 0.5
    assert result.alive == [1.5, 5.5]
    assert result.alive_at_end == [3.5, 7.5], "of the two with at least 190 cells"
    assert result.longest_success == 0.5
    assert result.steps_per_second == 20
    assert [(b.low, b.high, b.episodes, b.success) for b in result.by_length] == [
        (3, 42, 2, 0.5),
        (43, 81, 0, None),
        (82, 121, 0, None),
        (122, 160, 0, None),
        (161, 200, 2, 0.5),
    ]
    assert [(t.step, t.envs) for t in result.step_times] == [(500, 7), (9000, 7)]
    assert result.step_times[0].milliseconds == pytest.approx(1050, rel=1e-3)


def test_times_per_step_are_of_first_episodes_only() -> None:
    assert summarise(episodes([3], [1], steps=600), CorridorSettings(3, 3)).step_times[0].step == 500
    assert summarise(episodes([3], [1], steps=540), CorridorSettings(3, 3)).step_times == []


def test_an_environment_that_does_not_tell_success() -> None:
    untold = replace(episodes([5, 5], [1, 0]), success=np.full(2, np.nan), length=np.full(2, np.nan))
    result = summarise(untold, CorridorSettings(3, 5))
    assert result.success is None and result.interval is None and result.by_length == []
    assert result.mean_return == 0.5
    # deviation 1 / sqrt(2), over sqrt(2) episodes, times the 0.975 quantile of t with one degree of freedom
    assert result.return_interval == pytest.approx((0.5 - 0.5 * 12.7062, 0.5 + 0.5 * 12.7062), abs=1e-3)
    alone = summarise(episodes([5], [1]), CorridorSettings(3, 5))
    assert alone.return_interval is None


def test_an_oracle_plays_where_it_can_read_what_is_shown() -> None:
    wrapped = GymSettings("ExpireSpan/Corridor-v0", wrappers=("gymnasium.wrappers.FlattenObservation",))
    hidden = PortalSettings(rooms=3, room_size=3, max_steps=20, show_room=False)
    for env in (wrapped, hidden):
        assert not has_oracle(env)
        with pytest.raises(UserError, match="no oracle that reads"):
            OraclePlayer(env, 2)
    agent = MemoryPPO("MlpPolicy", world_making.make_envs(hidden, 2), n_steps=8, batch_size=8, device="cpu")
    assert evaluate(agent, hidden, 2, 2, 0).oracle is None
    assert has_oracle(GymSettings("ExpireSpan/Corridor-v0")) and has_oracle(replace(hidden, show_room=True))
