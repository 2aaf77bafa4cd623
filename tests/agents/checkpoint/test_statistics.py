"""Statistics of wrappers that normalise are in an agent's file and come back, or loading refuses."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.vector import NormalizeReward as NormalizeRewards
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

import expirespan.envs  # noqa: F401  registers the environments
from expirespan.agents import MemoryPPO, SB3VecEnv
from expirespan.agents.checkpoint.statistics import statistics_of


def clock(**kwargs):
    return gym.make("Toy/Clock-v0", **kwargs)


def normal():
    return NormalizeReward(NormalizeObservation(clock()))


def corridors(n=2):
    return gym.make_vec("ExpireSpan/Corridor-v0", num_envs=n, max_length=5)


def sync(make, n=2):
    return SyncVectorEnv([make] * n, autoreset_mode=AutoresetMode.SAME_STEP)


KINDS = {  # how it is made, how many layers have statistics, and whether the environments can go on in their episodes
    "VecNormalize around numpy": (lambda: VecNormalize(SB3VecEnv(corridors())), 1, True),
    "VecNormalize around DummyVecEnv": (lambda: VecNormalize(DummyVecEnv([clock] * 2)), 1, False),
    "VecNormalize of a Dict": (
        lambda: VecNormalize(
            DummyVecEnv([lambda: gym.make("Toy/Noise-v0", observation="dict")] * 2), norm_obs_keys=["vector"]
        ),
        1,
        False,
    ),
    "NormalizeReward around numpy": (lambda: NormalizeRewards(corridors()), 1, True),
    "in a DummyVecEnv": (lambda: DummyVecEnv([lambda: Monitor(normal())] * 2), 4, False),
    "in a SyncVectorEnv": (lambda: sync(normal), 4, False),
}


def flat(env):
    return [
        np.concatenate([np.ravel(values[moment]) for values in part["values"].values() for moment in values])
        for part in statistics_of(env)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resume", [False, True])
def test_statistics_come_back(make_agent, tmp_path, kind, resume):
    make, count, exact = KINDS[kind]
    policy = "MultiInputPolicy" if "Dict" in kind else "MlpPolicy"
    agent = make_agent(policy=policy, env=make()).learn(48)
    kept = flat(agent.env)
    assert len(kept) == count
    agent.save(tmp_path / "agent")
    agent.learn(48, reset_num_timesteps=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore" if not exact else "error", "the environments cannot go on")
        loaded = MemoryPPO.load(tmp_path / "agent", make(), device="cpu", resume=resume)
    assert all(np.array_equal(*pair) for pair in zip(flat(loaded.env), kept, strict=True))
    loaded.learn(48, reset_num_timesteps=False)
    assert not np.array_equal(flat(loaded.env)[0], kept[0])
    if exact and resume:
        assert all(np.array_equal(*pair) for pair in zip(flat(loaded.env), flat(agent.env), strict=True))
        assert all(
            th.equal(*pair)
            for pair in zip(loaded.policy.parameters(), agent.policy.parameters(), strict=True)
        )


def test_within_a_rollout_those_of_its_start_are_saved(make_agent, tmp_path):
    """A resumed run goes on at the start of the rollout, so it must normalise as it did there."""
    agent = make_agent(env=VecNormalize(SB3VecEnv(corridors()))).learn(24)
    kept = flat(agent.env)

    def stop(given, _):
        return given["self"].num_timesteps < 24 + 10

    agent.learn(24, callback=stop, reset_num_timesteps=False)
    assert not np.array_equal(flat(agent.env)[0], kept[0])
    agent.save(tmp_path / "agent")
    loaded = MemoryPPO.load(
        tmp_path / "agent", VecNormalize(SB3VecEnv(corridors())), device="cpu", resume=True
    )
    np.testing.assert_array_equal(flat(loaded.env)[0], kept[0])


def test_they_wait_for_an_environment(make_agent, tmp_path):
    """Loaded without one and saved again, they are still there; set_env gives them to it, in any number."""
    agent = make_agent(env=VecNormalize(SB3VecEnv(corridors()))).learn(48)
    agent.save(tmp_path / "agent")
    MemoryPPO.load(tmp_path / "agent", device="cpu").save(tmp_path / "again")
    loaded = MemoryPPO.load(tmp_path / "again", device="cpu")
    loaded.set_env(VecNormalize(SB3VecEnv(corridors()), training=False))
    np.testing.assert_array_equal(flat(loaded.env)[0], flat(agent.env)[0])
    more = MemoryPPO.load(tmp_path / "again", VecNormalize(SB3VecEnv(corridors(5))), device="cpu")
    np.testing.assert_array_equal(flat(more.env)[0], flat(agent.env)[0])


@pytest.mark.parametrize(
    ("make", "other", "said"),
    [
        (lambda: VecNormalize(DummyVecEnv([clock])), lambda: DummyVecEnv([clock]), "by VecNormalize, and .* no such"),
        (
            lambda: DummyVecEnv([normal] * 3),
            lambda: DummyVecEnv([normal] * 2),
            "3 NormalizeReward, 3 NormalizeObservation, and the one given has 2 NormalizeReward, 2 Norm",
        ),
        (
            lambda: VecNormalize(DummyVecEnv([clock])),
            lambda: VecNormalize(DummyVecEnv([clock]), norm_obs=False),
            "statistics of VecNormalize are of .*obs_rms",
        ),
    ],
)  # fmt: skip
def test_other_wrappers_are_refused(make_agent, tmp_path, make, other, said):
    make_agent(env=make()).save(tmp_path / "agent")
    with pytest.raises(ValueError, match=said) as error:
        MemoryPPO.load(tmp_path / "agent", other(), device="cpu")
    assert "\n" not in str(error.value)


def recall():
    return NormalizeObservation(gym.make("CartPole-v1"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SubprocVecEnv([recall], "fork"),
        lambda: AsyncVectorEnv([recall], autoreset_mode=AutoresetMode.SAME_STEP),
    ],
)
def test_statistics_in_other_processes_are_refused(make_agent, tmp_path, make):
    env = make()
    make_agent(env=env, n_steps=4, batch_size=4).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="normalised within processes of their own"):
        MemoryPPO.load(tmp_path / "agent", env, device="cpu")
    env.close()
    plain = SubprocVecEnv([lambda: gym.make("CartPole-v1")], "fork")
    make_agent(env=plain, n_steps=4, batch_size=4).save(tmp_path / "plain")
    assert MemoryPPO.load(tmp_path / "plain", plain, device="cpu").env is not None
    plain.close()
