"""Pictures, films, pages and sentences of an episode, for every memory in every kind of environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from expirespan.experiments.episodes.kept import kept_sentence
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.episodes.showing import image_of
from expirespan.experiments.episodes.verdict import verdict
from expirespan.experiments.making.agents import make_agent
from expirespan.experiments.making.envs import make_training_env
from expirespan.experiments.pictures.heatmap import draw_heatmap
from expirespan.experiments.pictures.retention import draw_retention
from expirespan.experiments.settings import Config, CorridorSettings, GymSettings, InstructionSettings
from expirespan.experiments.settings.memories import Memory
from expirespan.experiments.viewer.command import page_of
from expirespan.experiments.viewer.episode_media import film

WORLDS = {
    "pictures of observations": CorridorSettings(5, 5),
    "texts": InstructionSettings(min_length=4, max_length=4),
    "rendered frames": GymSettings("CartPole-v1", kwargs={"max_episode_steps": 12}),
    "numbers alone": GymSettings("ExpireSpan/CartPoleNoVel-v1", kwargs={"max_episode_steps": 12}),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("memory", get_args(Memory), ids=lambda kind: kind.name)
def test_it_is_shown(tiny: Config, tmp_path: Path, memory: type, world: object) -> None:
    config = replace(tiny, env=world, eval_env=world, memory=memory(width=16))
    agent = make_agent(config, make_training_env(config))
    trace = record_episode(agent, world, seed=1)  # type: ignore[arg-type]
    drawer = image_of(world)  # type: ignore[arg-type]
    assert draw_retention(trace, tmp_path / "picture.png", drawer).stat().st_size > 10_000
    assert film(trace, drawer).frames.shape[0] > 1
    assert verdict(trace) and (kept_sentence(trace) or not trace.layers or not trace.about.get("ramp"))
    assert "</html>" in page_of([tmp_path], [[trace]])
    assert trace.layers == 0 or draw_heatmap(trace).std() > 0
