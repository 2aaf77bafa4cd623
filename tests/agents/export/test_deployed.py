"""Files of policies: whole, without environments, with the class and the normalisation that acting needs."""

from __future__ import annotations

import io
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecNormalize

from expirespan.agents import (
    ChoiceExtractor,
    DeployedPolicy,
    MemoryActorCriticPolicy,
    MemoryChoicePolicy,
    MemoryPPO,
    StandardizedExtractor,
)


def acts_alike(one, other, batch=4, steps=12):
    """The same actions, drawn and most likely, and the same states."""
    one.observation_space.seed(0)
    states = [None, None]
    for t in range(steps):
        seen = [one.observation_space.sample() for _ in range(batch)]
        obs = (
            {k: np.stack([s[k] for s in seen]) for k in seen[0]}
            if isinstance(seen[0], dict)
            else np.stack(seen)
        )
        start = (np.arange(batch) == t % 5) | (t == 0)
        for deterministic in (True, False):
            th.manual_seed(t)
            first, after = one.predict(obs, states[0], start, deterministic)
            th.manual_seed(t)
            second, later = other.predict(obs, states[1], start, deterministic)
            assert np.array_equal(first, second)
        states = [after, later]
    pairs = zip(states[0].state_dict().items(), states[1].state_dict().items(), strict=True)
    assert all(a[0] == b[0] and th.equal(a[1], b[1]) for a, b in pairs)


@pytest.mark.parametrize(
    "memory", ["expire_span", "adaptive_span", "fixed_window", "compressive", "lstm", "gru"]
)
def test_every_memory_comes_back(make_policy, tmp_path, memory):
    policy = make_policy(memory, observation="dict", action="multidiscrete")
    DeployedPolicy(policy, about={"steps": 7}).save(tmp_path / "policy.zip")
    loaded = DeployedPolicy.load(tmp_path / "policy.zip")
    assert type(loaded.policy) is type(policy)
    assert loaded.about == {"steps": 7}
    assert (loaded.observation_space, loaded.action_space) == (policy.observation_space, policy.action_space)
    acts_alike(policy, loaded)


def test_the_class_of_the_policy_comes_back(make_policy, tmp_path):
    """A choice policy has weights that the plain one lacks."""
    policy = make_policy(
        observation="tokens",
        policy_class=MemoryChoicePolicy,
        features_extractor_class=ChoiceExtractor,
        features_extractor_kwargs={"first": 0, "choices": 2, "words": 2},
    )
    DeployedPolicy(policy).save(tmp_path / "policy.zip")
    loaded = DeployedPolicy.load(tmp_path / "policy")  # the suffix may be left out, as SB3 has it
    assert type(loaded.policy) is MemoryChoicePolicy
    acts_alike(policy, loaded)


def test_files_of_policies_and_of_deployed_ones_are_one_kind(make_policy, tmp_path):
    policy = make_policy()
    policy.save(tmp_path / "plain.zip")
    DeployedPolicy(policy).save(tmp_path / "deployed.zip")
    acts_alike(policy, DeployedPolicy.load(tmp_path / "plain.zip"))
    acts_alike(policy, MemoryActorCriticPolicy.load(tmp_path / "deployed.zip"))
    buffer = io.BytesIO()
    DeployedPolicy(policy).save(buffer)
    buffer.seek(0)
    acts_alike(policy, DeployedPolicy.load(buffer))


def test_standardised_features_are_weights(make_policy, tmp_path):
    policy = make_policy(features_extractor_class=StandardizedExtractor)
    policy.features_extractor.calibrate([np.random.default_rng(0).normal(3, 2, (50, 2, 3))])
    DeployedPolicy(policy).save(tmp_path / "policy.zip")
    loaded = DeployedPolicy.load(tmp_path / "policy.zip")
    assert th.equal(loaded.policy.features_extractor.mean, policy.features_extractor.mean)
    assert abs(float(loaded.policy.features_extractor.mean.mean()) - 3) < 0.5
    acts_alike(policy, loaded)


def trained(make_agent, env, tmp_path, policy="MlpPolicy"):
    """A deployed policy, from the agent itself and from its file without environments."""
    agent = make_agent(MemoryPPO, policy, env=env)
    agent.learn(48)
    agent.save(tmp_path / "agent")
    return (
        agent,
        DeployedPolicy.of(agent),
        DeployedPolicy.of(MemoryPPO.load(tmp_path / "agent", device="cpu")),
    )


@pytest.mark.parametrize("clip", [0.7, 10.0])
def test_vec_normalize_comes_along(make_envs, make_agent, tmp_path, clip):
    env = VecNormalize(make_envs("Noise"), clip_obs=clip, epsilon=1e-3)
    agent, own, from_file = trained(make_agent, env, tmp_path)
    own.save(tmp_path / "policy.zip")
    from_policy = DeployedPolicy.load(tmp_path / "policy.zip")
    obs = np.random.default_rng(1).normal(0.3, 1.0, (20, 3)).astype(np.float32)
    for deployed in (own, from_file, from_policy):
        assert deployed.normalization is not None
        assert (deployed.normalization.clip, deployed.normalization.epsilon) == (clip, 1e-3)
        assert np.array_equal(deployed.normalization(obs), env.normalize_obs(obs))
    assert np.array_equal(
        from_policy.predict(obs, deterministic=True)[0],
        agent.predict(env.normalize_obs(obs), deterministic=True)[0],
    )
    one = from_policy.predict(obs[0], deterministic=True)[0]
    assert one == from_policy.predict(obs, deterministic=True)[0][0]


def test_vec_normalize_of_some_parts_of_a_dict(make_envs, make_agent, tmp_path):
    env = VecNormalize(make_envs("Noise", observation="dict"), norm_obs_keys=["vector"])
    _, own, from_file = trained(make_agent, env, tmp_path, "MultiInputPolicy")
    assert set(own.normalization.mean) == {"vector"}
    obs = {key: np.stack([part] * 2) for key, part in env.observation_space.sample().items()}
    for deployed in (own, from_file):
        found, expected = deployed.normalization(obs), env.normalize_obs(obs)
        assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_one_environment_that_normalises_itself(make_agent, tmp_path):
    env = NormalizeObservation(gym.make("Toy/Noise-v0"), epsilon=1e-2)
    _, own, from_file = trained(make_agent, DummyVecEnv([lambda: env]), tmp_path)
    obs = np.ones((1, 3), np.float32)
    expected = (obs - env.obs_rms.mean) / np.sqrt(env.obs_rms.var + 1e-2)
    for deployed in (own, from_file):
        assert np.allclose(deployed.normalization(obs), expected, atol=1e-6)


def test_normalised_rewards_do_not_matter(make_envs, make_agent, tmp_path):
    _, own, from_file = trained(make_agent, VecNormalize(make_envs("Noise"), norm_obs=False), tmp_path)
    assert own.normalization is from_file.normalization is None


def noise():
    return NormalizeObservation(gym.make("Toy/Noise-v0"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: DummyVecEnv([noise] * 2),
            "normalised by NormalizeObservation, NormalizeObservation.*expected one",
        ),
        (
            lambda: VecNormalize(VecNormalize(DummyVecEnv([lambda: gym.make("Toy/Noise-v0")]))),
            "normalised by VecNormalize, VecNormalize.*expected one",
        ),
        (
            lambda: VecFrameStack(VecNormalize(DummyVecEnv([lambda: gym.make("Toy/Noise-v0")])), 2),
            r"shape \(3,\), and the policy reads \(6,\).*put VecNormalize outermost",
        ),
        (
            lambda: SubprocVecEnv([noise], start_method="fork"),
            "within processes of their own.*VecNormalize around them",
        ),
    ],
    ids=["two", "twice", "stacked", "processes"],
)
def test_normalisation_that_no_file_can_hold(make_agent, make, words):
    env = make()
    try:
        agent = make_agent(MemoryPPO, env=env)
        with pytest.raises(ValueError, match=words):
            DeployedPolicy.of(agent)
    finally:
        env.close()


def test_a_policy_without_memory(make_envs):
    from stable_baselines3.common.policies import ActorCriticPolicy

    with pytest.warns(UserWarning):
        agent = MemoryPPO(ActorCriticPolicy, make_envs("Noise"), device="cpu")
    with pytest.raises(ValueError, match="ActorCriticPolicy is a policy without memory"):
        DeployedPolicy.of(agent)


def test_files_that_are_none(make_agent, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        DeployedPolicy.load(tmp_path / "nowhere.zip")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ValueError, match=r"text\.zip is no saved policy"):
        DeployedPolicy.load(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "pickle.zip", "w") as file:
        file.writestr("policy.pth", pickle.dumps(3))
    with pytest.raises(ValueError, match=r"pickle\.zip carries a pickle"):
        DeployedPolicy.load(tmp_path / "pickle.zip")
    make_agent(MemoryPPO).save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match=r"agent\.zip cannot be loaded as .*arguments are missing"):
        DeployedPolicy.load(tmp_path / "agent.zip")


def test_a_file_is_whole_or_absent(make_policy, tmp_path, monkeypatch):
    deployed = DeployedPolicy(make_policy())
    deployed.save(tmp_path / "policy.zip")
    before = (tmp_path / "policy.zip").read_bytes()
    monkeypatch.setattr("safetensors.torch.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        deployed.save(tmp_path / "policy.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["policy.zip"]
    assert (tmp_path / "policy.zip").read_bytes() == before
