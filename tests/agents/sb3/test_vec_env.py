"""The bridge to Stable-Baselines3, measured against `DummyVecEnv` around scalar environments."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TransformReward
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

import expirespan.envs  # noqa: F401  (registers the ids)
from expirespan.agents.sb3.vec_env import SB3VecEnv

ID = "ExpireSpan/Corridor-v0"
SHORT = {"max_length": 5, "max_steps": 12}


class Counter(gym.Env[dict[str, np.ndarray], int]):
    """Dict observations, infos now and then, an episode of three or four steps ended in either way."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012
    observation_space = spaces.Dict(
        {"count": spaces.Box(0, 9, (1,), np.float32), "noise": spaces.Box(0, 1, (2,), np.float32)}
    )
    action_space = spaces.Discrete(2)
    gain = 1.0

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.count = (options or {}).get("count", 0)
        return self._observe(), {"start": float(self.np_random.random())}

    def step(self, action: int) -> Any:
        self.count += 1
        info: dict[str, Any] = {"vector": np.arange(2) + self.count}
        if self.count == 2:
            info["second"] = {"name": "two", "value": 2}
        terminated, truncated = self.count == 3 + action, self.count == 4
        return self._observe(), self.gain * self.count / 3, terminated, truncated, info

    def _observe(self) -> dict[str, np.ndarray]:
        noise = self.np_random.random(2, dtype=np.float32)
        return {"count": np.array([self.count], np.float32), "noise": noise}

    def render(self) -> np.ndarray:
        return np.full((2, 2, 3), self.count, np.uint8)


def corridors(num_envs: int = 4, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return gym.make_vec(ID, num_envs=num_envs, **{**SHORT, **kwargs})


def counters(num_envs: int = 4, **kwargs: Any) -> SyncVectorEnv[Any, Any]:
    return SyncVectorEnv([lambda: Counter(**kwargs)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert type(a) is type(b) and a == b


def assert_same_steps(ours: VecEnv, theirs: VecEnv, steps: int = 120) -> tuple[int, int]:
    """Play both with the same actions; how many episodes ended, and how many of them by truncation."""
    ours.seed(3)
    theirs.seed(3)
    assert_same(ours.reset(), theirs.reset())
    assert_same(dict(enumerate(ours.reset_infos)), dict(enumerate(theirs.reset_infos)))
    generator, ended, truncated = np.random.default_rng(0), 0, 0
    for _ in range(steps):
        actions = generator.integers(ours.action_space.n, size=ours.num_envs)
        observations, rewards, dones, infos = ours.step(actions)
        their_observations, their_rewards, their_dones, their_infos = theirs.step(actions)
        assert_same(observations, their_observations)
        assert_same(rewards, their_rewards)
        assert_same(dones, their_dones)
        for done, info, their_info in zip(dones, infos, their_infos, strict=True):
            assert ("TimeLimit.truncated" in info) == done == ("terminal_observation" in info)
            assert_same({"TimeLimit.truncated": False, **info}, their_info)
            truncated += info.get("TimeLimit.truncated", False)
        assert_same(dict(enumerate(ours.reset_infos)), dict(enumerate(theirs.reset_infos)))
        ended += int(dones.sum())
    return ended, truncated


def test_equals_dummy_vec_env_on_corridors() -> None:
    dummy = DummyVecEnv([lambda: gym.make(ID, **SHORT)] * 4)
    ended, truncated = assert_same_steps(SB3VecEnv(corridors()), dummy)
    assert ended > truncated > 5


@pytest.mark.parametrize("num_envs", [1, 4])
def test_equals_dummy_vec_env_on_dicts_and_occasional_infos(num_envs: int) -> None:
    ended, truncated = assert_same_steps(SB3VecEnv(counters(num_envs)), DummyVecEnv([Counter] * num_envs))
    assert ended > truncated > 0, "termination at the time limit is no truncation"


def test_info_keys_choose_what_comes_each_step() -> None:
    for keys, expected in ((None, {"cue", "length"}), (("length",), {"length"}), ((), set())):
        env = SB3VecEnv(corridors(max_steps=2), info_keys=keys)
        env.reset()
        assert set(env.reset_infos[0]) == {"cue", "length"}
        assert set(env.step(np.zeros(4, int))[3][0]) == expected
        last = env.step(np.zeros(4, int))[3]
        assert last[0].keys() == {
            "cue",
            "length",
            "is_success",
            "terminal_observation",
            "TimeLimit.truncated",
        }
        assert last[0] is not last[1]


def test_seeds_are_used_once_and_are_those_of_the_vector_environment() -> None:
    env, reference = SB3VecEnv(corridors(max_length=50)), corridors(max_length=50)
    assert list(env.seed(11)) == [11, 12, 13, 14]
    np.testing.assert_array_equal(env.reset(), reference.reset(seed=11)[0])
    lengths = [info["length"] for info in env.reset_infos]
    assert lengths == reference.reset(seed=11)[1]["length"].tolist()
    env.reset()
    assert [info["length"] for info in env.reset_infos] == reference.reset()[1]["length"].tolist()
    env._seeds = [5, None, 5, None]
    env.reset()
    assert env.reset_infos[0] == env.reset_infos[2]


def test_options_are_used_once_and_equal_for_all() -> None:
    env = SB3VecEnv(corridors(max_length=50))
    layout = {"layout": {"length": 77, "ball": "red", "red_door": "left"}}
    env.set_options(layout)
    env.reset()
    assert {info["length"] for info in env.reset_infos} == {77}
    env.reset()
    assert 77 not in {info["length"] for info in env.reset_infos}
    env.set_options([layout, {}, {}, {}])
    with pytest.raises(ValueError, match="one dict for all"):
        env.reset()


@pytest.mark.parametrize(
    "env",
    [
        SyncVectorEnv([Counter], autoreset_mode=AutoresetMode.DISABLED),
        RecordEpisodeStatistics(SyncVectorEnv([Counter])),
    ],
)
def test_other_autoreset_modes_are_refused(env: Any) -> None:
    with pytest.raises(
        ValueError, match=r"expected AutoresetMode.SAME_STEP.*SyncVectorEnv\(\.\.\., autoreset"
    ):
        SB3VecEnv(env)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"vectorization_mode": "sync"},
        {"vectorization_mode": "sync", "wrappers": [lambda env: TransformReward(env, float)]},
        {"vectorization_mode": "async", "vector_kwargs": {"context": "fork"}},
        {"max_episode_steps": 12},
    ],
)
@pytest.mark.filterwarnings("ignore:CartPoleVectorEnv begins episodes a step late")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_what_make_vec_gives_equals_dummy_vec_env(kwargs: dict[str, Any]) -> None:
    """Gymnasium's own vector environments begin episodes a step late; here they begin them within the step."""
    given = gym.make_vec("CartPole-v1", num_envs=4, **kwargs)
    limit = {name: value for name, value in kwargs.items() if name == "max_episode_steps"}
    env = SB3VecEnv(given)
    ended, _ = assert_same_steps(env, DummyVecEnv([lambda: gym.make("CartPole-v1", **limit)] * 4))
    assert ended > 10
    env.close()


def test_a_vector_environment_that_is_replaced_is_named() -> None:
    with pytest.warns(
        UserWarning, match="CartPoleVectorEnv begins episodes a step late, so 3 single environments"
    ):
        assert type(SB3VecEnv(gym.make_vec("CartPole-v1", num_envs=3)).env) is SyncVectorEnv


@pytest.mark.parametrize("make", [corridors, counters])
def test_infos_as_a_list_are_taken_as_a_dict(make: Any) -> None:
    plain, listed = SB3VecEnv(make()), SB3VecEnv(DictInfoToList(make()))
    for env in (plain, listed):
        env.seed(3)
    assert_same(plain.reset(), listed.reset())
    for _ in range(20):
        ours, theirs = plain.step(np.ones(4, int)), listed.step(np.ones(4, int))
        assert_same(dict(enumerate(ours[3])), dict(enumerate(theirs[3])))
        assert_same(dict(enumerate(plain.reset_infos)), dict(enumerate(listed.reset_infos)))


def test_a_scalar_environment_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Counter is not a gymnasium.vector.VectorEnv.*make_vec"):
        SB3VecEnv(Counter())  # type: ignore[arg-type]


def test_attributes_and_methods_of_one_shared_object() -> None:
    env = SB3VecEnv(corridors(render_mode="ansi"))
    assert env.render_mode == "ansi" and env.get_attr("render_mode") == ["ansi"] * 4
    assert env.get_attr("rules", indices=[0, 2])[1].max_length == 5
    assert not env.has_attr("nothing")
    env.set_attr("note", 1)
    assert env.get_attr("note", indices=3) == [1]
    env.reset()
    pictures = env.env_method("render")
    assert len(pictures) == 4 and ">" in pictures[0][0]
    for part in ([0], 1):
        with pytest.raises(ValueError, match="4 environments are one object; leave indices out"):
            env.set_attr("note", 2, indices=part)
        with pytest.raises(ValueError, match="leave indices out"):
            env.env_method("render", indices=part)
    assert env.env_is_wrapped(Monitor) == [False] * 4
    env.close()
    env.close()


def test_attributes_and_methods_one_by_one_in_a_sync_vector_env() -> None:
    env = SB3VecEnv(SyncVectorEnv([lambda: Monitor(Counter()), Counter], autoreset_mode="SameStep"))
    env.set_attr("gain", 3.0, indices=1)
    assert env.get_attr("gain") == [1.0, 3.0]
    env.reset()
    assert env.step(np.zeros(2, int))[1].tolist() == pytest.approx([1 / 3, 1.0])
    assert env.env_method("render", indices=[0])[0].shape == (2, 2, 3)
    assert env.env_is_wrapped(Monitor) == [True, False]
    assert env.env_is_wrapped(Monitor, indices=1) == [False]


def test_wrappers_of_the_vector_environment() -> None:
    env = SB3VecEnv(RecordEpisodeStatistics(corridors(max_steps=3)))
    assert env.env_is_wrapped(RecordEpisodeStatistics) == [True] * 4
    assert env.get_attr("rules")[0].max_steps == 3
    env.reset()
    for _ in range(3):
        _, _, dones, infos = env.step(np.zeros(4, int))
    assert dones.all() and [info["episode"]["l"] for info in infos] == [3] * 4
    assert set(env.reset_infos[0]) == {"cue", "length"}


def test_images() -> None:
    env = SB3VecEnv(corridors(render_mode="rgb_array"))
    env.reset()
    images = env.get_images()
    assert len(images) == 4 and images[0] is not None and images[0].shape == (160, 672, 3)
    tiled = env.render()
    assert tiled is not None and tiled.shape == (320, 1344, 3)
    blind = SB3VecEnv(corridors())
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert blind.get_images() == [None] * 4


@pytest.mark.parametrize("make", [corridors, counters])
def test_ppo_with_monitor_and_evaluation(make: Any) -> None:
    env = VecMonitor(SB3VecEnv(make()), info_keywords=("is_success",) if make is corridors else ())
    policy = "MlpPolicy" if make is corridors else "MultiInputPolicy"
    model = PPO(policy, env, n_steps=32, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(256)
    assert model.ep_info_buffer and all(0 < episode["l"] <= 12 for episode in model.ep_info_buffer)
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=6, return_episode_rewards=True)
    assert len(returns) == len(lengths) == 6
    if make is corridors:
        assert all(isinstance(episode["is_success"], bool) for episode in model.ep_info_buffer)
        assert set(returns) <= {0.0, 1.0}


def test_training_is_reproducible() -> None:
    weights = []
    for _ in range(2):
        model = PPO("MlpPolicy", SB3VecEnv(corridors()), n_steps=16, batch_size=32, seed=1, device="cpu")
        model.learn(64)
        weights.append(model.policy.action_net.weight.detach().numpy().copy())
    np.testing.assert_array_equal(*weights)
