"""Whatever an environment does, a run stops in time, says what came, and leaves a checkpoint that resumes."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import SubprocVecEnv

from expirespan.agents import MemoryPPO
from expirespan.experiments.episodes.playing import RandomPlayer, play
from expirespan.experiments.evaluation.describe import not_ended
from expirespan.experiments.evaluation.evaluate import summarise
from expirespan.experiments.making.envs import make_envs
from expirespan.experiments.making.faults import wrong_observation
from expirespan.experiments.training.train import train
from tests.experiments.reliability.jobs import quiet
from tests.experiments.reliability.misbehaviour import complaint, config_of
from tests.experiments.reliability.worlds import Kind, Misbehaving, kinds

KINDS = kinds()
SOME = [
    pytest.param(kind, marks=[pytest.mark.slow] if i % 2 else [], id=kind.title)
    for i, kind in enumerate(KINDS)
]


def test_there_are_many() -> None:
    assert len({kind.title for kind in KINDS}) == len(KINDS) > 100


@pytest.mark.parametrize("kind", SOME)
def test_the_run_stops_in_words_and_resumes(kind: Kind, tmp_path: Path) -> None:
    begun = time.monotonic()
    assert complaint(kind, tmp_path) == ""
    assert time.monotonic() - begun < 60


def test_what_the_message_is_like(tmp_path: Path) -> None:
    with quiet(), pytest.raises(Exception) as caught:
        train(config_of(Kind("reward None"), tmp_path / "runs", tmp_path / "cured"))
    said = str(caught.value)
    assert said.startswith(
        "training stopped: in training after 24 steps: environment 0 of Misbehaving-v0, step 1 of its episode 4: "
        "step() returned the reward None: expected a finite number; the last checkpoint is "
    )


def test_ctrl_c_ends_an_evaluation_that_never_ends(tmp_path: Path) -> None:
    config = config_of(Kind("never ends", "evaluation"), tmp_path / "runs", tmp_path / "cured")
    endless = replace(config, evaluation=replace(config.evaluation, step_limit=10**9))
    timer = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with quiet():
            result = train(endless)
    finally:
        timer.cancel()
    assert result.interrupted and result.run.newest_checkpoint().name == "step-0000000032.zip"
    assert result.run.evaluations() == []
    (tmp_path / "cured").touch()
    with quiet():
        again = train(config, result.run)
    assert [entry["step"] for entry in again.run.evaluations()] == [32, 64] and not again.interrupted


def test_episodes_that_do_not_end_are_reported(tmp_path: Path) -> None:
    env = config_of(Kind("never ends", "evaluation"), tmp_path, tmp_path / "cured").eval_env
    space = gym.spaces.Discrete(2)
    played = play(RandomPlayer(space, 2, 0), env, 6, 2, seed=0, max_steps=7)
    assert played.steps.tolist() == [7, 7] and played.ended.tolist() == [False, False]
    score = summarise(played, env)
    assert score.not_ended == 2 and score.success is None
    assert not_ended(score).startswith("2 of 2 episodes did not end")
    whole = summarise(
        play(RandomPlayer(space, 2, 0), replace(env, kwargs={}), 6, 2, seed=0, max_steps=7), env
    )
    assert whole.not_ended == 0 and whole.episodes == 6 and not_ended(whole) == ""


def test_environments_in_processes_are_those_in_this_one(tmp_path: Path) -> None:
    def steps(timeout: float | None) -> list[Any]:
        env = replace(config_of(Kind("", ""), tmp_path, tmp_path).env, timeout=timeout)
        envs = make_envs(env, 2)
        found: list[Any] = [envs.reset(seed=1)[0]]
        for _ in range(9):
            found += envs.step(np.zeros(2, np.int64))[:4]
        envs.close()
        return found

    assert all(np.array_equal(one, other) for one, other in zip(steps(None), steps(20.0), strict=True))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"pixels": np.zeros((2, 2, 3), np.uint8), "word": 3}, ""),
        (
            {"pixels": np.zeros((2, 2, 3), np.int64), "word": np.int64(3)},
            "observation['pixels'] of dtype int64",
        ),
        (
            {"pixels": np.zeros((2, 2, 3)), "word": 3},
            "observation['pixels'] of dtype float64: expected uint8",
        ),
        (
            {"pixels": np.zeros((2, 2, 3), np.uint8), "word": 7},
            "observation['word'] 7, which is not in Discrete(7)",
        ),
        ({"pixels": np.zeros((2, 2, 3), np.uint8), "word": 1.5}, "observation['word'] 1.5, which"),
        ({"word": 3}, "observation {'word': 3}: expected a dict of 'pixels', 'word'"),
    ],
)
def test_observations_of_other_spaces(value: Any, said: str) -> None:
    parts = {"pixels": gym.spaces.Box(0, 255, (2, 2, 3), np.uint8), "word": gym.spaces.Discrete(7)}
    found = wrong_observation(gym.spaces.Dict(parts), value)
    assert found.startswith(said) and bool(found) == bool(said)
    small = gym.spaces.Box(0, 9, (2,), np.int32)
    assert wrong_observation(small, np.array([1, 2**31])) == (
        "observation with values from 1 to 2147483648: expected int32"
    )
    assert wrong_observation(small, np.array([1, 2])) == ""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_of_stable_baselines_that_dies(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent outside of a run: the error comes at once, and what it had learned can be saved and goes on."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))

    def make(fault: str) -> SubprocVecEnv:
        return SubprocVecEnv([lambda: Misbehaving(fault, fault and "training")] * 2, start_method=method)

    agent = MemoryPPO(
        "MlpPolicy", make("worker exits"), n_steps=8, batch_size=16, n_epochs=1, seed=0, device="cpu",
        policy_kwargs={"memory": "gru", "memory_kwargs": {"width": 8}},
    )  # fmt: skip
    with pytest.raises((EOFError, OSError)):
        agent.learn(64)
    assert agent.within_rollout and agent.resumable_timesteps == 16
    agent.save(tmp_path / "agent")
    with quiet():
        again = MemoryPPO.load(tmp_path / "agent", make(""), resume=True, device="cpu")
        again.learn(48, reset_num_timesteps=False)
    assert again.num_timesteps == 64
    again.env.close()  # type: ignore[union-attr]
