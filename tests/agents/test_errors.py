"""What cannot work is refused before training, in one paragraph that says what was given and what to do."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.policies import BasePolicy

from expirespan.agents import Forgetting, MemoryA2C, MemoryPPO

WRONG = [
    ({"n_steps": 0}, "n_steps must be an integer >= 1, got 0"),
    ({"n_steps": -3}, "n_steps must be an integer >= 1, got -3"),
    ({"n_steps": 2.5}, "n_steps must be an integer >= 1, got 2.5"),
    ({"n_steps": True}, "n_steps must be an integer >= 1, got True"),
    ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
    ({"batch_size": 64.0}, "batch_size must be an integer >= 1, got 64.0"),
    ({"batch_size": None}, "batch_size must be an integer >= 1, got None"),
    ({"n_epochs": 0}, "n_epochs must be an integer >= 1, got 0"),
    ({"n_epochs": "4"}, "n_epochs must be an integer >= 1, got '4'"),
    ({"gamma": 1.01}, "gamma must be a number within [0, 1], got 1.01"),
    ({"gamma": -0.1}, "gamma must be a number within [0, 1], got -0.1"),
    ({"gamma": np.nan}, "gamma must be a number within [0, 1], got nan"),
    ({"gae_lambda": 2}, "gae_lambda must be a number within [0, 1], got 2"),
    ({"gae_lambda": None}, "gae_lambda must be a number within [0, 1], got None"),
    ({"min_advantage_std": -1}, "min_advantage_std must be a finite number >= 0, got -1"),
    ({"span_penalty": -1e-3}, "span_penalty must be a finite number >= 0"),
    ({"rollout_buffer_kwargs": {"segment_length": 0}}, "segment_length must be an integer >= 1, got 0"),
    ({"policy_kwargs": {"predictor_lr": -1}}, "predictor_lr must be a finite number >= 0, got -1"),
    ({"policy_kwargs": {"memory": "lstn"}}, "unknown memory 'lstn'; choose one of expire_span, fixed_window"),
    ({"memory_kwargs": {"width": 30, "heads": 4}}, "heads must be a divisor of width=30, got 4"),
    ({"memory_kwargs": {"ramp": 0}}, "ramp must be a finite number of steps >= 1e-12"),
    ({"memory": "fixed_window", "memory_kwargs": {"window": 0}}, "window must be an integer of states >= 1"),
    ({"policy": "LstmPolicy"}, "policy 'LstmPolicy' is unknown; choose one of MlpPolicy, CnnPolicy"),
    ({"policy": "MultiInputPolicy"}, "MultiInputPolicy is for Dict observations"),
    (
        {"policy": BasePolicy},
        "policy is BasePolicy: expected 'MlpPolicy', 'CnnPolicy', 'MultiInputPolicy', 'ChoicePolicy' or a",
    ),
    (
        {"rollout_buffer_class": ReplayBuffer},
        "rollout_buffer_class is ReplayBuffer: expected None or a subclass",
    ),
    (
        {"forgetting": Forgetting(), "memory": "lstm"},
        "needs a memory that learns spans, and 'lstm' has",
    ),
    ({"forgetting": Forgetting(), "memory": "fixed_window"}, "and 'fixed_window' has none to learn"),
    ({"forgetting": Forgetting(0.9)}, "makes teachers of all environments (there are 3)"),
]


@pytest.mark.parametrize("kwargs, message", WRONG, ids=lambda value: str(value)[:40])
def test_arguments(make_agent, kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make_agent(**kwargs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"memory": "lstm", "memory_kwargs": {"window": 8}},
            "'lstm' takes no window; it takes chrono, layers, width",
        ),
        ({"memory_kwargs": {"max_spam": 8}}, "memory 'expire_span' takes no max_spam; it takes"),
        ({"policy_kwargs": {"memroy": "lstm"}}, "takes no memroy; .* nearest name is memory$"),
    ],
)
def test_arguments_of_the_memory(make_agent, kwargs, message):
    with pytest.raises(TypeError, match=message) as error:
        make_agent(**kwargs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kwargs", [{"n_steps": 0}, {"n_steps": 5.0}, {"gamma": 2}, {"gae_lambda": -1}])
def test_arguments_of_a2c(make_agent, kwargs):
    with pytest.raises(ValueError, match=r"must be .* got"):
        make_agent(MemoryA2C, **kwargs)


def test_arguments_changed_while_loading(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    with pytest.raises(ValueError, match="n_steps must be an integer >= 1, got 0"):
        MemoryPPO.load(tmp_path / "agent", n_steps=0)


def test_advantages_of_one_step_cannot_be_normalised(make_agent, make_envs):
    with pytest.raises(AssertionError, match="batch_size=1: advantages are normalised"):
        make_agent(batch_size=1)
    with pytest.raises(AssertionError, match="n_steps=1 and n_envs=1: advantages are normalised"):
        make_agent(env=make_envs("Noise", 1), n_steps=1)
    make_agent(env=make_envs("Noise", 1), n_steps=1, batch_size=1, normalize_advantage=False).learn(4)


def test_unequal_minibatches(make_agent, make_envs, recwarn):
    with pytest.warns(UserWarning, match="there will be a truncated mini-batch of size 1"):
        make_agent(env=make_envs("Noise", 1), n_steps=64, batch_size=63).learn(64)
    recwarn.clear()
    make_agent(n_steps=16, batch_size=8)
    assert not len(recwarn)


@pytest.mark.parametrize("observation", ["text", "tuple", "sequence"])
def test_observations_that_no_policy_reads(make_agent, observation):
    env = gym.make("Toy/Noise-v0", observation=observation)
    with pytest.raises(ValueError, match="which policies cannot read; ") as error:
        make_agent(env=env)
    assert str(env.observation_space) in str(error.value) and "\n" not in str(error.value)
    vector = SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="which policies cannot read"):
        make_agent(env=vector)


def test_dict_observations_need_their_policy(make_agent, make_envs):
    with pytest.raises(ValueError, match="must use `MultiInputPolicy`"):
        make_agent(env=make_envs("Noise", observation="dict"))


def test_a_part_of_a_dict_that_no_policy_reads(make_agent):
    env = gym.make("Toy/Noise-v0")
    env.unwrapped.observation_space = gym.spaces.Dict({"words": gym.spaces.Text(5)})
    with pytest.raises(ValueError, match=r"observation_space\['words'\] is Text"):
        make_agent(policy="MultiInputPolicy", env=env)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predictions_need_finite_observations(make_agent, make_envs, value):
    agent = make_agent()
    for observation, where in (
        (np.array([0, value, 0]), "[1]"),
        (np.array([[0, 0, 0], [0, 0, value]]), "[1, 2]"),
    ):
        with pytest.raises(
            ValueError, match=re.escape(f"was given observation{where} = {value}: every")
        ) as error:
            agent.predict(observation)
        assert "\n" not in str(error.value)
    agent = make_agent(policy="MultiInputPolicy", env=make_envs("Noise", 2, observation="dict"))
    seen = agent.observation_space.sample() | {"vector": np.array([value, 0])}
    with pytest.raises(ValueError, match=re.escape("observation['vector'][0] = ")):
        agent.predict(seen)


def test_learning_needs_an_environment(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent")
    agent = MemoryPPO.load(tmp_path / "agent", device="cpu")
    assert agent.predict(agent.observation_space.sample())
    with pytest.raises(ValueError, match=r"no environment to learn in: pass one to load\(path, env=\.\.\.\)"):
        agent.learn(12)
    with pytest.raises(
        ValueError, match="env must be an environment, its id, or a vector environment, got None"
    ):
        MemoryPPO("MlpPolicy", None)


def state_of(agent):
    moments = [moment for state in agent.policy.optimizer.state.values() for moment in state.values()]
    return [th.as_tensor(tensor).detach().clone() for tensor in [*agent.policy.parameters(), *moments]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("broken", ["observation", "last observation", "reward"])
def test_an_environment_that_is_not_finite(make_agent, make_envs, broken, value):
    env = make_envs("Clock", 3)
    env.envs[1].unwrapped.broken, env.envs[1].unwrapped.value = broken, value
    agent = make_agent(env=env)
    before = state_of(agent)
    what = {"last observation": "terminal observation"}.get(broken, broken)
    steps = 9 if broken == "last observation" else 3
    message = rf"environment 1 returned a non-finite {what} \({value}\) after {steps} steps"
    with pytest.raises(ValueError, match=message) as error:
        agent.learn(36)
    assert "VecCheckNan" in str(error.value) and "\n" not in str(error.value)
    assert all(th.equal(*pair) for pair in zip(before, state_of(agent), strict=True))


@pytest.mark.filterwarnings("ignore:.*not within the observation space")
def test_a_part_of_a_dict_that_is_not_finite(make_agent, make_envs, monkeypatch):
    env = make_envs("Noise", 2, observation="dict")
    agent = make_agent(policy="MultiInputPolicy", env=env)
    inner = env.envs[0].unwrapped
    observe = inner._observe
    monkeypatch.setattr(inner, "_observe", lambda: {**observe(), "vector": np.array([0, np.nan])})
    with pytest.raises(ValueError, match=r"environment 0 returned a non-finite observation\['vector'\]"):
        agent.learn(24)


def root(values, batch):
    """0, with a gradient that is not finite."""
    return (values - values.detach()).abs().sqrt().mean()


@pytest.mark.parametrize(
    "value_loss, message",
    [
        (
            lambda values, batch: values.mean() * np.nan,
            r"the loss became nan after 72 steps \(parts: {",
        ),
        (lambda values, batch: values.mean() * np.inf, r"the loss became (-?inf|nan) after 72 steps"),
        (root, r"the norm of the gradient became (inf|nan) after 72 steps; the weights are those before"),
    ],
)
def test_an_update_that_is_not_finite(make_agent, monkeypatch, value_loss, message):
    agent = make_agent()
    agent.learn(36)
    before = state_of(agent)
    monkeypatch.setattr(agent, "value_loss", value_loss)
    with pytest.raises(ValueError, match=message) as error:
        agent.learn(36, reset_num_timesteps=False)
    assert "learning_rate" in str(error.value) and "\n" not in str(error.value)
    assert all(th.equal(*pair) for pair in zip(before, state_of(agent), strict=True))


def test_rewards_too_large_for_float32(make_agent, make_envs):
    env = make_envs("Clock", 3)
    for wrapped in env.envs:
        wrapped.unwrapped.broken, wrapped.unwrapped.value = "reward", 1e30
    with pytest.raises(ValueError, match="the loss became inf after 36 steps"):
        make_agent(env=env).learn(36)
