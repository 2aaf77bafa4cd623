"""Environments of others in which something must be remembered: what is shown and what is hidden."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import expirespan.envs  # noqa: F401  registers the ids
from expirespan.envs.borrowed.scalar import KeepEntries

IDS = ["ExpireSpan/CartPoleNoVel-v1", "ExpireSpan/PendulumNoVel-v1", "ExpireSpan/MiniGridMemoryS13-v0"]


@pytest.mark.parametrize("name", IDS)
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_checkers_of_gymnasium_and_sb3(name: str) -> None:
    env = gym.make(name)
    check_env(env, skip_render_check=True)
    check_env_sb3(env)


@pytest.mark.parametrize(
    ("name", "original", "entries"), [(IDS[0], "CartPole-v1", [0, 2]), (IDS[1], "Pendulum-v1", [0, 1])]
)
def test_positions_are_the_originals_and_velocities_are_not_shown(
    name: str, original: str, entries: list[int]
) -> None:
    ours, theirs = gym.make(name), gym.make(original)
    seen, _ = ours.reset(seed=3)
    whole, _ = theirs.reset(seed=3)
    theirs.action_space.seed(0)
    for _ in range(500):
        np.testing.assert_array_equal(seen, whole[entries])
        action = theirs.action_space.sample()
        seen, reward, *ended, _ = ours.step(action)
        whole, reward_whole, *ended_whole, _ = theirs.step(action)
        assert reward == reward_whole and ended == ended_whole
        if any(ended):
            break
    assert ours.spec is not None and theirs.spec is not None
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps


def test_entries_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="expected some of 0 to 3"):
        KeepEntries(gym.make("CartPole-v1"), [4])
    with pytest.raises(ValueError, match="reads a vector observation"):
        KeepEntries(gym.make("Blackjack-v1"), [0])


def test_minigrids_view_is_one_hot_and_reward_is_success() -> None:
    """Every cell has one kind, one colour and one state."""
    env = gym.make(IDS[2])
    env.action_space.seed(0)
    for seed in range(20):
        seen, info = env.reset(seed=seed)
        done = False
        while not done:
            assert "is_success" not in info
            np.testing.assert_array_equal(seen.reshape(7, 7, 20).sum(-1), 3)
            seen, reward, terminated, truncated, info = env.step(env.action_space.sample())
            done = terminated or truncated
        assert info["is_success"] == (float(reward) > 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 100])
def test_memory_rooms_side_by_side_are_minigrids(seed: int) -> None:
    """Random moves, and moves that mostly go forward, so that episodes end in both ways and by the clock."""
    twin = gym.make_vec(IDS[2], 6)
    ours = gym.make_vec(IDS[2], 6, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})
    seen, expected = twin.reset(seed=seed)[0], ours.reset(seed=seed)[0]
    rng, ends = np.random.default_rng(seed), {"success": 0, "failure": 0, "truncated": 0}
    for step in range(3000):
        np.testing.assert_array_equal(seen, expected)
        actions = rng.choice(3, 6, p=[0.1, 0.1, 0.8] if step % 1700 < 400 else [0.45, 0.45, 0.1])
        seen, *told, infos = twin.step(actions)
        expected, *said, known = ours.step(actions)
        for a, b in zip(told, said, strict=True):
            np.testing.assert_array_equal(a, b)
        assert infos.keys() == known.keys()
        for i in np.flatnonzero(told[1] | told[2]):
            np.testing.assert_array_equal(infos["final_obs"][i], known["final_obs"][i])
            success = infos["final_info"]["is_success"][i]
            assert success == known["final_info"]["is_success"][i]
            ends["truncated" if told[2][i] else "success" if success else "failure"] += 1
    assert min(ends.values()) > 0, ends
    state, actions = twin.get_state(), rng.integers(0, 3, (20, 6))
    first = [twin.step(action)[0] for action in actions]
    twin.set_state(state)
    np.testing.assert_array_equal(first, [twin.step(action)[0] for action in actions])
