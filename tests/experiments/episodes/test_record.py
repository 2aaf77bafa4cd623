"""What a recorded episode says, against what the memory, the environment and the rules for forgetting do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from expirespan.agents import MemoryPPO
from expirespan.experiments.episodes import recorders, showing
from expirespan.experiments.episodes.record import record_episode, trace_paths
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.making import agents as agent_making
from expirespan.experiments.making import envs as world_making
from expirespan.experiments.pictures.retention import draw_retention
from expirespan.experiments.settings import (
    AdaptiveSpanSettings,
    CompressiveSettings,
    Config,
    CorridorSettings,
    ExpireSpanSettings,
    FixedWindowSettings,
    GymSettings,
    InstructionSettings,
    LSTMSettings,
)
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.viewer.episode_media import film

TEXT, CARTPOLE = InstructionSettings(10, 40), GymSettings("CartPole-v1")
SOMETIMES = GymSettings("Here/TextAtFirst-v0")


class TextAtFirst(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole, whose resets say something and whose steps do not."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(gym.make("CartPole-v1", render_mode=render_mode, max_episode_steps=20).unwrapped)

    def reset(self, **kwargs: Any) -> Any:
        observation, info = self.env.reset(**kwargs)
        return observation, info | {"text": "begin"}


gym.register(SOMETIMES.gym_id, TextAtFirst, max_episode_steps=20)


def agent(env: Any, **memory: Any) -> MemoryPPO:
    given = {"width": 16, "layers": 2, "heads": 2} | memory
    return MemoryPPO(
        "MlpPolicy",
        world_making.make_envs(env, 1) if env.gym_id.startswith("ExpireSpan") else env.gym_id,
        n_steps=8,
        batch_size=8,
        policy_kwargs=dict(memory_kwargs=given),
        seed=0,
    )


@pytest.mark.parametrize(
    "memory",
    [
        ExpireSpanSettings(width=16, heads=2, max_span=12, ramp=3.5, init_fraction=0.5),
        FixedWindowSettings(width=16, heads=2, window=7),
        AdaptiveSpanSettings(width=16, heads=2, max_span=9, ramp=2),
        CompressiveSettings(width=16, heads=2, window=5, slots=3, factor=2),
    ],
    ids=lambda memory: memory.name,
)
def test_births_and_deaths_say_what_is_alive(tiny: Config, memory: Any) -> None:
    """As many memories as the layers counted, and attention to no other; 16 or fewer are all of it."""
    config = replace(tiny, memory=memory)
    trace = record_episode(
        agent_making.make_agent(config, world_making.make_training_env(config)), CorridorSettings(30, 30), 0
    )
    assert trace.layers == 2 and trace.steps > 40
    for t in range(trace.steps):
        there = trace.alive_at(t)
        assert_array_equal(there.sum(1), trace.alive[:, t])
        for layer in range(2):
            read = trace.attended[layer, t][trace.attended[layer, t] >= 0]
            assert len(set(read)) == len(read) and there[layer][read].all()
    weights = trace.attention.astype(float)
    assert (np.diff(weights, axis=2) <= 0).all(), "largest first"
    assert ((weights > 0) <= (trace.attended >= 0)).all()
    few = trace.alive <= recorders.TOP
    np.testing.assert_allclose(weights.sum(2)[few], 1, atol=2e-3)
    assert few.any() and (weights.sum(2) < 1.003).all()


def test_what_is_attended_is_what_moves_the_output(tiny: Config) -> None:
    """The weights recorded are those of an unroll over the whole episode, mean over heads."""
    import torch

    model = agent_making.make_agent(tiny, world_making.make_training_env(tiny))
    trace = record_episode(model, CorridorSettings(10, 10), 3)
    policy: Any = model.policy
    seen = torch.as_tensor(trace.observation)[None]
    with torch.no_grad():
        x = policy._encode(policy.obs_to_tensor(trace.observation)[0])[None]
        start = torch.arange(seen.shape[1])[None] == 0
        out = policy.memory.unroll(x, policy.initial_state(1), start, need_attention=True)
    for layer, attention in enumerate(out.trace.attention):
        mean = attention[0].mean(0).numpy()
        for t in range(trace.steps):
            found, weights = trace.attended[layer, t], trace.attention[layer, t]
            np.testing.assert_allclose(weights[found >= 0], mean[t, found[found >= 0]], atol=1e-3)
            assert weights[0] == pytest.approx(mean[t].max(), abs=1e-3)
            by_head = attention[0, :, t].numpy()[:, found[found >= 0]]
            np.testing.assert_allclose(trace.heads[layer, t][found >= 0].T / 255, by_head, atol=0.003)
            assert (trace.heads[layer, t][found < 0] == 0).all()


def test_pictures_cues_and_actions(tiny: Config) -> None:
    trace = record_episode(
        agent_making.make_agent(tiny, world_making.make_training_env(tiny)), CorridorSettings(5, 5), 0
    )
    drawn = showing.image_of(CorridorSettings())
    assert drawn is not None
    for t in range(trace.steps):
        assert_array_equal(trace.frames[trace.frame[t]], drawn(trace.observation[t]))
    assert len(trace.frames) == len(np.unique(trace.observation, axis=0)) < trace.steps
    words = showing.words_of(CorridorSettings())
    assert words is not None
    assert trace.words.tolist() == [words(observation) for observation in trace.observation]
    assert trace.cue[0] and trace.expiry[0, 4] == np.float32(4 + trace.span[0, 4])


def test_text_is_recorded_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = record_episode(agent(TEXT), TEXT, 0)
    envs = world_making.make_envs(TEXT, 1)
    _, infos = envs.reset(seed=0)
    lines = []
    for action in trace.action:
        lines.append((infos["text"][0], bool(infos["cue"][0])))
        *_, infos = envs.step(np.array([action]))
    assert list(zip(trace.text.tolist(), trace.cue.tolist(), strict=True)) == lines
    assert not trace.frame.size, "nothing is drawn of what can be read"
    assert trace.about["actions"][0] == "read on"
    monkeypatch.setattr(recorders, "TEXT_LENGTH", 7)
    assert record_episode(agent(TEXT), TEXT, 0).text.tolist() == [line[:7] for line, _ in lines]


def test_environments_of_others_are_rendered() -> None:
    trace = record_episode(agent(CARTPOLE), CARTPOLE, 0)
    assert trace.observation.shape == (trace.steps, 4)
    assert trace.frames.shape[1:] == (64, 96, 3)
    assert (trace.frame >= 0).all() and len(trace.frames) > trace.steps / 2
    assert trace.about["success"] is None


def test_text_that_is_told_at_some_steps() -> None:
    trace = record_episode(agent(SOMETIMES), SOMETIMES, 0)
    assert len(trace.text) == trace.steps and trace.text[0] == "begin" and set(trace.text[1:]) == {""}


def test_observations_are_kept_whole_or_not_at_all(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = agent_making.make_agent(tiny, world_making.make_training_env(tiny))
    whole = record_episode(model, CorridorSettings(5, 5), 0)
    monkeypatch.setattr(recorders, "OBSERVATION_BYTES", whole.observation.nbytes)
    assert_array_equal(record_episode(model, CorridorSettings(5, 5), 0).observation, whole.observation)
    monkeypatch.setattr(recorders, "OBSERVATION_BYTES", whole.observation.nbytes - 1)
    less = record_episode(model, CorridorSettings(5, 5), 0)
    assert less.observation.shape == (whole.steps, 0)
    assert_array_equal(less.frame, whole.frame)

    def image(_: Any) -> Any:
        raise AssertionError("there is no observation to draw, but a picture of it")

    assert draw_retention(less, tmp_path / "kept.png", image).stat().st_size > 1000
    assert film(less, image).frames.shape[0] == less.steps


def test_memories_without_spans_have_no_attention(tiny: Config) -> None:
    config = replace(tiny, memory=LSTMSettings(width=16))
    trace = record_episode(
        agent_making.make_agent(config, world_making.make_training_env(config)), CorridorSettings(5, 5), 0
    )
    assert trace.layers == 0 and not trace.attended.size


def test_where_traces_go(tmp_path: Path) -> None:
    assert [path.name for path in trace_paths("3", tmp_path)] == [
        "evaluation.npz",
        "evaluation-2.npz",
        "evaluation-3.npz",
    ]
    assert trace_paths(str(tmp_path / "a.npz"), tmp_path) == [tmp_path / "a.npz"]
    for wrong in ("0", "-1", "x", "²", str(tmp_path / "no" / "a.npz"), "1.5"):
        with pytest.raises(UserError, match="expected a number of episodes"):
            trace_paths(wrong, tmp_path)


def test_a_saved_trace_is_the_trace(tiny: Config, tmp_path: Path) -> None:
    trace = record_episode(
        agent_making.make_agent(tiny, world_making.make_training_env(tiny)), CorridorSettings(5, 5), 0
    )
    trace.save(tmp_path / "trace.npz")
    again = EpisodeTrace.load(tmp_path / "trace.npz")
    for name in ("attended", "attention", "frames", "frame", "text", "observation", "death"):
        assert_array_equal(getattr(again, name), getattr(trace, name))
        assert getattr(again, name).dtype == getattr(trace, name).dtype
