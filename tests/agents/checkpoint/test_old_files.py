"""A checkpoint of version 0.1 (commit ed19093, made by old/make.py) loads, acts as it did, and goes on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import gymnasium as gym
import pytest
import torch as th

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import AdaptivePenalty, Forgetting, MemoryPPO
from expirespan.agents.checkpoint.classes import find_class
from expirespan.agents.checkpoint.migration import MOVED
from expirespan.memory import TransformerState

OLD = Path(__file__).parent / "old"
ANSWERS = json.loads((OLD / "agent-0.1.json").read_text())


def test_it_acts_as_it_did() -> None:
    agent = MemoryPPO.load(OLD / "agent-0.1.zip")
    state = agent.policy.initial_state(3)
    assert isinstance(state, TransformerState)
    for obs, starts, before in zip(
        ANSWERS["observations"], ANSWERS["starts"], ANSWERS["answers"], strict=True
    ):
        with th.no_grad():
            out = agent.policy.step(th.tensor(obs), state, th.tensor(starts), deterministic=True)
        state = out.state
        assert out.actions.tolist() == before["action"]
        assert out.values.flatten().tolist() == pytest.approx(before["value"], abs=1e-6)
        assert out.log_prob.tolist() == pytest.approx(before["log_prob"], abs=1e-6)
        assert [layer[:, 0].tolist() for layer in out.trace.alive] == before["alive"]
        for now, then in zip(out.trace.spans, before["spans"], strict=True):
            assert now[:, 0].tolist() == pytest.approx(then, rel=1e-5)


def test_it_goes_on_where_it_stood() -> None:
    env = gym.make_vec("ExpireSpan/EndlessTMaze-v0", num_envs=4)
    agent = MemoryPPO.load(OLD / "agent-0.1.zip", env=env, resume=True)
    assert agent.num_timesteps == ANSWERS["num_timesteps"]
    assert agent._memory_state is not None and agent._memory_state.time_B.sum() > 0, "its memory came along"
    assert agent.forgetting == Forgetting(shortest=0.8, step_size=0.25), (
        "what it had, but what is measured in another way now"
    )
    assert isinstance(agent.span_penalty, AdaptivePenalty) and agent.span_penalty.current == 0.02
    agent.learn(128, reset_num_timesteps=False)
    assert agent.num_timesteps == ANSWERS["num_timesteps"] + 128
    assert all(p.isfinite().all() for p in agent.policy.parameters())


def test_what_is_saved_now_is_of_the_present_format(tmp_path: Path) -> None:
    MemoryPPO.load(OLD / "agent-0.1.zip").save(tmp_path / "agent.zip")
    with zipfile.ZipFile(tmp_path / "agent.zip") as archive:
        data = json.loads(archive.read("data"))
    assert data["format"] == 2
    assert data["attributes"]["forgetting"]["path"] == "expirespan.agents:Forgetting"
    assert MemoryPPO.load(tmp_path / "agent.zip").forgetting == Forgetting(shortest=0.8, step_size=0.25)


@pytest.mark.parametrize("path", MOVED.values())
def test_what_moved_is_there(path: str) -> None:
    names = {
        "expirespan.agents": (
            "Forgetting",
            "Histogram",
            "ConstantPenalty",
            "WarmupPenalty",
            "AdaptivePenalty",
        ),
        "expirespan.agents.core.buffer": ("MemoryRolloutBuffer",),
        "expirespan.agents.core.policies": ("MemoryActorCriticPolicy",),
        "expirespan.agents.sb3.choices": ("MemoryChoicePolicy", "ChoiceExtractor"),
        "expirespan.agents.sb3.memoryless": ("MirroredRolloutBuffer",),
        "expirespan.agents.sb3.space_policies": (
            "MemoryActorCriticCnnPolicy",
            "MemoryMultiInputActorCriticPolicy",
        ),
        "expirespan.agents.features.standardized_extractor": ("StandardizedExtractor",),
        "expirespan.agents.features.token_extractor": ("TokenExtractor",),
    }
    for name in names[path]:
        assert find_class(f"{path}:{name}", (object,), "place").__name__ == name
