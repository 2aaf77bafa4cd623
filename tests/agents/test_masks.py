"""Agents in environments that forbid actions: none of these is ever taken, in training, prediction or evaluation."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.vector import AutoresetMode
from sb3_contrib.common.envs import (
    InvalidActionEnvDiscrete,
    InvalidActionEnvMultiBinary,
    InvalidActionEnvMultiDiscrete,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

from expirespan.agents import (
    AdaptivePenalty,
    Forgetting,
    MemoryA2C,
    MemoryEvalCallback,
    MemoryPPO,
    evaluate_policy,
)
from expirespan.agents.core.masks import source
from tests.agents.masked_env import MaskedRecall

SMALL = {"memory_kwargs": {"width": 16, "layers": 1, "heads": 2, "max_span": 16, "ramp": 4}}
THEIRS = {
    "discrete": lambda: InvalidActionEnvDiscrete(dim=8, n_invalid_actions=5, ep_length=9),
    "multi_discrete": lambda: InvalidActionEnvMultiDiscrete(dims=[3, 4], n_invalid_actions=4, ep_length=9),
    "multi_binary": lambda: InvalidActionEnvMultiBinary(dims=4, n_invalid_actions=3, ep_length=9),
}


class Witness(gym.Wrapper[Any, Any, Any, Any]):
    """Asserts that the mask allows every action that arrives."""

    def action_masks(self) -> Any:
        return self.env.unwrapped.action_masks()  # type: ignore[attr-defined]

    def step(self, action: Any) -> Any:
        space, mask = self.action_space, np.asarray(self.action_masks(), dtype=bool)
        sizes = [space.n] if isinstance(space, gym.spaces.Discrete) else getattr(space, "nvec", None)
        sizes = [2] * space.n if sizes is None else list(sizes)  # type: ignore[attr-defined]
        chosen = np.reshape(action, -1).astype(int)
        assert len(chosen) == len(sizes)
        assert mask[np.cumsum([0, *sizes])[:-1] + chosen].all(), f"{action} is not allowed by {mask}"
        return self.env.step(action)


@pytest.mark.parametrize("agent_class", [MemoryPPO, MemoryA2C])
@pytest.mark.parametrize("name", sorted(THEIRS))
def test_in_the_environments_of_sb3_contrib(name: str, agent_class: type[Any]) -> None:
    env = DummyVecEnv([lambda: Witness(THEIRS[name]())] * 2)
    more = {"batch_size": 16} if agent_class is MemoryPPO else {}
    agent = agent_class("MlpPolicy", env, n_steps=16, policy_kwargs=SMALL, seed=0, **more)
    agent.learn(96)
    evaluate_policy(agent, env, 2, deterministic=False, warn=False)


@pytest.mark.parametrize("how", ["method", "info"])
@pytest.mark.parametrize("kind", ["dummy", "subproc", "gymnasium", "policy without memory"])
def test_every_kind_of_environment(how: str, kind: str) -> None:
    """Of forbidden actions the environment itself keeps count, and ends the episode with -1."""
    if kind == "gymnasium":
        modes = {"vector_kwargs": {"autoreset_mode": AutoresetMode.SAME_STEP}}
        env: Any = gym.make_vec("MaskedRecall-v0", 2, how=how, **modes)
    elif kind == "subproc":
        env = VecMonitor(SubprocVecEnv([lambda: MaskedRecall(how)] * 2, start_method="fork"))
    else:
        env = VecMonitor(DummyVecEnv([lambda: MaskedRecall(how)] * 2))
    memoryless = kind == "policy without memory"
    policy: Any = {"policy": "MlpPolicy", "policy_kwargs": SMALL}
    if memoryless:
        from stable_baselines3.common.policies import ActorCriticPolicy

        policy = {"policy": ActorCriticPolicy}
    with pytest.warns(UserWarning) if memoryless else nullcontext():
        agent = MemoryPPO(env=env, n_steps=20, batch_size=20, n_epochs=1, seed=0, **policy)
    agent.learn(120)
    returns = [episode["r"] for episode in agent.ep_info_buffer]
    assert len(returns) >= 10 and min(returns) >= 0
    agent.get_env().close()


def test_learning_rereads_with_the_masks_of_acting() -> None:
    """The probability of what was done is the same in the update as in the rollout."""
    agent = MemoryPPO(
        "MlpPolicy", DummyVecEnv([MaskedRecall] * 3), n_steps=15, batch_size=15, policy_kwargs=SMALL
    )
    agent.learn(45)
    agent.collect_rollouts(agent.env, agent._init_callback(None), agent.rollout_buffer, 15)
    for batch in agent.rollout_buffer.get(15):
        segments = batch.observations, batch.actions, batch.state, batch.episode_starts
        again = agent.policy.unroll(*segments, batch.action_masks)
        th.testing.assert_close(again.log_prob, batch.old_log_prob, rtol=1e-4, atol=1e-5)
        assert not th.allclose(agent.policy.unroll(*segments).log_prob, batch.old_log_prob, atol=1e-3)


def test_predict() -> None:
    agent = MemoryPPO(
        "MlpPolicy", DummyVecEnv([MaskedRecall] * 3), policy_kwargs=SMALL, n_steps=8, batch_size=8
    )
    observations = np.zeros((3, 5), np.float32)
    for only in range(4):
        masks = np.zeros((3, 4), bool)
        masks[:, only] = True
        assert agent.predict(observations, action_masks=masks)[0].tolist() == [only] * 3
        assert agent.predict(observations[0], action_masks=masks[0])[0] == only
    with pytest.raises(ValueError, match="environment 0 forbids every action"):
        agent.predict(observations, action_masks=np.zeros((3, 4)))


@pytest.mark.parametrize("how", ["method", "info"])
def test_a_run_goes_on_with_its_masks(how: str, tmp_path: Path) -> None:
    """The first action after resuming is masked too, whether new episodes begin or the old ones go on."""
    agent = MemoryPPO(
        "MlpPolicy",
        DummyVecEnv([lambda: MaskedRecall(how)] * 2),
        n_steps=9,
        batch_size=18,
        policy_kwargs=SMALL,
    )
    agent.learn(18)
    agent.save(tmp_path / "agent")
    env = DummyVecEnv([lambda: MaskedRecall(how)] * 2)
    before = MaskedRecall.forbidden
    for resume in (False, True):
        with pytest.warns(UserWarning, match="new episodes begin") if resume else nullcontext():
            again = MemoryPPO.load(tmp_path / "agent", env=env, resume=resume)
        again.learn(36, reset_num_timesteps=False)
    agent.learn(36, reset_num_timesteps=False)
    agent.learn(18)
    assert MaskedRecall.forbidden == before


def test_an_environment_that_forbids_everything() -> None:
    env = DummyVecEnv([lambda: InvalidActionEnvDiscrete(dim=3)] * 2)
    env.envs[1].action_masks = lambda: [False] * 3  # type: ignore[method-assign]
    agent = MemoryPPO("MlpPolicy", env, n_steps=8, batch_size=8, policy_kwargs=SMALL)
    with pytest.raises(ValueError, match="the mask of environment 1 forbids every action"):
        agent.learn(16)


def test_masks_of_actions_that_cannot_be_masked() -> None:
    class Odd(gym.Env[Any, Any]):
        observation_space, action_space = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-1, 1, (1,))

        def action_masks(self) -> list[bool]:
            return [True]

    with pytest.raises(ValueError, match="cannot be masked: expected Discrete"):
        source(DummyVecEnv([Odd]))([{}])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["method", "info"])
def test_masks_and_memory_are_both_needed(how: str) -> None:
    """Solved with both; an agent that forgets chooses between two, so that half of its answers are right."""

    def score(**memory: Any) -> float:
        env = DummyVecEnv([lambda: MaskedRecall(how)] * 16)
        kwargs = {
            "memory_kwargs": {"width": 32, "layers": 1, "max_span": 16, "ramp": 4} | memory,
            "net_arch": [32],
        }
        ppo = {"n_steps": 24, "batch_size": 192, "n_epochs": 4, "ent_coef": 0.01}
        agent = MemoryPPO("MlpPolicy", env, 3e-3, policy_kwargs=kwargs, seed=0, **ppo).learn(10_000)
        return float(evaluate_policy(agent, DummyVecEnv([lambda: MaskedRecall(how)] * 8), 200, warn=False)[0])

    before = MaskedRecall.forbidden
    holds, forgets = score(), score(max_span=0.01, ramp=0.5)
    assert MaskedRecall.forbidden == before
    assert holds > 0.95 and forgets < 0.65, (holds, forgets)


def test_a_lesson_in_forgetting_with_masks() -> None:
    """Both readings are masked: with long spans they agree; if one were not, they would differ by ln 4 a step."""
    penalty = AdaptivePenalty(0.05, target=-10.0)
    env = VecMonitor(DummyVecEnv([MaskedRecall] * 4))
    agent = MemoryPPO(
        "MlpPolicy",
        env,
        n_steps=20,
        batch_size=20,
        policy_kwargs=SMALL,
        span_penalty=penalty,
        forgetting=Forgetting(),
        seed=0,
    )
    agent.learn(240)
    assert penalty.current > 0
    assert agent.logger.name_to_value["expire/forgetting_kl"] == pytest.approx(0, abs=0.01)


def test_a_single_environment_is_evaluated_too() -> None:
    agent = MemoryPPO("MlpPolicy", MaskedRecall(), n_steps=8, batch_size=8, policy_kwargs=SMALL)
    before = MaskedRecall.forbidden
    assert 0 <= evaluate_policy(agent, MaskedRecall(), 20, warn=False)[0] <= 1
    assert MaskedRecall.forbidden == before


def test_a_policy_without_memory_is_evaluated_with_masks_too() -> None:
    """Where training follows masks, evaluation does; a single observation gets a single action."""
    with pytest.warns(UserWarning, match="has no memory"):
        agent = MemoryPPO(ActorCriticPolicy, DummyVecEnv([MaskedRecall] * 2), n_steps=8, batch_size=8)
    before = MaskedRecall.forbidden
    callback = MemoryEvalCallback(DummyVecEnv([MaskedRecall]), eval_freq=4, n_eval_episodes=4, warn=False)
    agent.learn(16, callback=callback)
    assert 0 <= evaluate_policy(agent, MaskedRecall(), 20, warn=False)[0] <= 1
    assert MaskedRecall.forbidden == before
    masks = np.eye(4, dtype=bool)
    assert agent.predict(np.zeros((4, 5), np.float32), action_masks=masks)[0].tolist() == [0, 1, 2, 3]
    assert agent.predict(np.zeros(5, np.float32), action_masks=masks[2])[0] == 2
    with pytest.raises(ValueError, match="action masks have shape"):
        agent.predict(np.zeros((3, 5), np.float32), action_masks=masks)
