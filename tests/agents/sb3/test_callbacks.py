"""Callbacks and evaluation of SB3 and sb3-contrib with these agents, with masks and without, normalised or not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback
from sb3_contrib.common.maskable.evaluation import evaluate_policy as contrib_evaluate_policy
from stable_baselines3.common import callbacks as sb3
from stable_baselines3.common.evaluation import evaluate_policy as sb3_evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from expirespan.agents import MemoryA2C, MemoryEvalCallback, MemoryPPO, evaluate_policy
from tests.agents.masked_env import MaskedRecall

SMALL = {"memory_kwargs": {"width": 16, "layers": 1, "heads": 2, "max_span": 16, "ramp": 4}}
ENVS = 2


def make_env(masked: bool, seed: int = 0) -> VecNormalize:
    made = (
        (lambda: Monitor(MaskedRecall())) if masked else (lambda: Monitor(gym.make("Toy/Recall-v0", delay=4)))
    )
    env = VecNormalize(DummyVecEnv([made] * ENVS), norm_reward=False)
    env.seed(seed)
    return env


@pytest.fixture(params=[MemoryPPO, MemoryA2C])
def make(request: pytest.FixtureRequest) -> Any:
    """``make(masked)``: a small agent in normalised environments; 16 steps a rollout."""

    def agent(masked: bool = False) -> Any:
        more = {"batch_size": 8, "n_epochs": 1} if request.param is MemoryPPO else {}
        env = make_env(masked)
        return request.param("MlpPolicy", env, n_steps=8, policy_kwargs=SMALL, seed=0, device="cpu", **more)

    return agent


class Watch:
    """What an agent's `predict` was given: states, and masks."""

    def __init__(self, agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[Any] = []
        self.masks: list[Any] = []
        inner = type(agent).predict

        def predict(self_: Any, observation: Any, state: Any = None, *args: Any, **kwargs: Any) -> Any:
            self.states.append(state)
            self.masks.append(kwargs.get("action_masks"))
            return inner(self_, observation, state, *args, **kwargs)

        monkeypatch.setattr(type(agent), "predict", predict)

    def carried(self, evaluations: int = 1) -> bool:
        """Whether the state went from step to step in so many evaluations."""
        return sum(state is None for state in self.states) == evaluations < len(self.states)


def means(env: VecEnv) -> Any:
    assert isinstance(env, VecNormalize)
    return env.obs_rms.mean  # type: ignore[union-attr]


@pytest.mark.parametrize("masked", [False, True])
def test_our_evaluation_while_training(make: Any, masked: bool, monkeypatch: Any, tmp_path: Path) -> None:
    agent, eval_env = make(masked), make_env(masked, 1)
    eval_env.training = False
    watch, before = Watch(agent, monkeypatch), MaskedRecall.forbidden
    best = sb3.CallbackList([])
    callback = MemoryEvalCallback(
        eval_env, callback_on_new_best=best, eval_freq=8, n_eval_episodes=4, verbose=0,
        log_path=str(tmp_path), best_model_save_path=str(tmp_path),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.learn(32, callback)
    assert watch.carried(evaluations=2)
    assert all((masks is not None) == masked for masks in watch.masks)
    assert MaskedRecall.forbidden == before
    assert callback.model is agent and callback.eval_env is eval_env and best.model is agent
    results = np.load(tmp_path / "evaluations.npz")
    assert results["timesteps"].tolist() == [16, 32] and results["results"].shape == (2, 4)
    assert callback.last_mean_reward == results["results"][-1].mean()
    np.testing.assert_array_equal(means(eval_env), means(agent.get_env()))
    assert type(agent).load(tmp_path / "best_model").num_timesteps in (16, 32)


def test_without_masks_it_is_sb3s(make: Any, tmp_path: Path) -> None:
    found = []
    for kind in (sb3.EvalCallback, MemoryEvalCallback):
        callback = kind(make_env(False, 1), eval_freq=8, n_eval_episodes=6, verbose=0, log_path=str(tmp_path))
        make().learn(32, callback)
        found.append(np.load(tmp_path / "evaluations.npz")["results"])
    np.testing.assert_array_equal(*found)


def test_masks_can_be_left_out(make: Any, monkeypatch: Any) -> None:
    """By a word, as sb3-contrib has it. The agent says what that means."""
    agent = make(masked=True)
    watch = Watch(agent, monkeypatch)
    callback = MemoryEvalCallback(
        make_env(True, 1), eval_freq=8, n_eval_episodes=2, verbose=0, use_masking=False
    )
    with pytest.warns(UserWarning, match="was given no action_masks, so it may choose what is forbidden"):
        agent.learn(16, callback)
    evaluate_policy(agent, make_env(True, 1), 2, use_masking=False)
    assert set(watch.masks) == {None}


@pytest.mark.parametrize("masked", [False, True])
def test_evaluation_of_sb3(make: Any, masked: bool, monkeypatch: Any) -> None:
    """It hands on the state, and knows no masks: where there are some, the agent names what does."""
    agent = make(masked).learn(16)
    watch = Watch(agent, monkeypatch)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        theirs = sb3_evaluate_policy(agent, make_env(masked, 1), 4, return_episode_rewards=True)
        agent.learn(16, sb3.EvalCallback(make_env(masked, 1), eval_freq=8, n_eval_episodes=2, verbose=0))
    assert watch.carried(evaluations=2)
    assert masked == any(
        "evaluate_policy and MemoryEvalCallback of expirespan" in str(w.message) for w in said
    )
    if not masked:
        agent.set_parameters(agent.get_parameters())
        assert len(theirs[0]) == 4


def test_evaluation_of_contrib_forgets_and_the_agent_says_so(make: Any, monkeypatch: Any) -> None:
    agent = make(masked=True).learn(16)
    watch = Watch(agent, monkeypatch)
    words = "sb3-contrib never do: use evaluate_policy and MemoryEvalCallback of expirespan.agents"
    with pytest.warns(UserWarning, match=words):
        contrib_evaluate_policy(agent, make_env(True, 1), 4)
    assert set(watch.states) == {None}, (
        "sb3-contrib hands on the state now: the warning and docs/sb3.md are old"
    )
    with pytest.warns(UserWarning, match=words):
        agent.learn(16, MaskableEvalCallback(make_env(True, 1), eval_freq=8, n_eval_episodes=2, verbose=0))


def test_evaluation_of_contrib_without_masks(make: Any, monkeypatch: Any) -> None:
    agent = make()
    watch = Watch(agent, monkeypatch)
    eval_env = make_env(False, 1)
    eval_env.training = False
    callback = MaskableEvalCallback(eval_env, eval_freq=8, n_eval_episodes=2, verbose=0, use_masking=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.learn(16, callback)
        contrib_evaluate_policy(agent, make_env(False, 1), 2, use_masking=False)
    assert watch.carried(evaluations=2)
    np.testing.assert_array_equal(means(eval_env), means(agent.get_env()))


def test_an_evaluation_environment_that_is_not_normalised(make: Any) -> None:
    callback = MemoryEvalCallback(DummyVecEnv([MaskedRecall]), eval_freq=8, verbose=0)
    with (
        pytest.warns(UserWarning, match="not of the same type"),
        pytest.raises(AssertionError, match="wrapped"),
    ):
        make(masked=True).learn(16, callback)


def evaluations(masked: bool, **kwargs: Any) -> MemoryEvalCallback:
    return MemoryEvalCallback(make_env(masked, 1), eval_freq=4, n_eval_episodes=2, verbose=0, **kwargs)


@pytest.mark.parametrize("masked", [False, True])
def test_callbacks_that_stop(make: Any, masked: bool) -> None:
    reached = sb3.StopTrainingOnRewardThreshold(reward_threshold=-9.0)
    assert make(masked).learn(160, evaluations(masked, callback_on_new_best=reached)).num_timesteps == 8
    better = sb3.StopTrainingOnNoModelImprovement(max_no_improvement_evals=1)
    assert make(masked).learn(400, evaluations(masked, callback_after_eval=better)).num_timesteps < 400
    episodes = sb3.StopTrainingOnMaxEpisodes(max_episodes=2)
    assert make(masked).learn(400, episodes).num_timesteps == 20, "two episodes of five steps, in each of two"
    assert episodes.n_episodes == 4


@pytest.mark.parametrize("masked", [False, True])
def test_callbacks_that_save(make: Any, masked: bool, tmp_path: Path) -> None:
    saves = sb3.CheckpointCallback(
        save_freq=8, save_path=str(tmp_path), name_prefix="agent", save_vecnormalize=True
    )
    agent = make(masked).learn(32, saves)
    again = type(agent).load(tmp_path / "agent_32_steps", env=make_env(masked))
    assert again.num_timesteps == 32 and again.learn(16, reset_num_timesteps=False).num_timesteps == 48
    env = VecNormalize.load(str(tmp_path / "agent_vecnormalize_32_steps.pkl"), make_env(masked).venv)
    np.testing.assert_array_equal(means(env), means(agent.get_env()))


@pytest.mark.parametrize("masked", [False, True])
def test_callbacks_that_count(make: Any, masked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    every = sb3.EveryNTimesteps(
        n_steps=16, callback=sb3.ConvertCallback(lambda now, _: seen.append(now["n_steps"]) or True)
    )
    logs = sb3.LogEveryNTimesteps(n_steps=16)
    assert (
        make(masked).learn(48, [every, logs, sb3.ProgressBarCallback()], log_interval=None).num_timesteps
        == 48
    )
    assert seen == [7, 7, 7]
    make(masked).learn(16, progress_bar=True)
    assert "16/16" in "".join(capsys.readouterr())
