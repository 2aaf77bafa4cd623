"""Every registered environment: many at once do what one does, and the same again from the same seed."""

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from expirespan.envs import ENVIRONMENTS, ORACLES
from tests.envs.conformance.checks import (
    EACH,
    assert_same,
    leaves,
    make_sync,
    make_sync_of,
    make_vector,
    quick,
)

pytestmark = EACH


@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_vector_equals_scalars_in_step(env_id: str, seed: int) -> None:
    vector, scalars = make_vector(env_id, 6), make_sync(env_id, 6)
    assert vector.single_observation_space == scalars.single_observation_space
    assert vector.single_action_space == scalars.single_action_space
    assert vector.observation_space == scalars.observation_space
    assert vector.action_space == scalars.action_space
    assert_same(vector.reset(seed=seed), scalars.reset(seed=seed), "reset")
    vector.action_space.seed(seed)
    episodes = 0
    for step in range(300):
        actions = vector.action_space.sample()
        ours, theirs = vector.step(actions), scalars.step(actions)
        assert_same(ours, theirs, f"step {step}")
        episodes += int((ours[2] | ours[3]).sum())
    assert episodes > 12
    assert_same(vector.reset(), scalars.reset(), "reset without a seed goes on with the generators")


def test_vector_equals_scalars_under_the_oracle(env_id: str) -> None:
    vector, scalars, oracle = make_vector(env_id, 6), make_sync(env_id, 6), ORACLES[env_id](6)
    observations, _ = vector.reset(seed=5)
    scalars.reset(seed=5)
    starts = np.ones(6, bool)
    for step in range(100):
        actions = oracle.act(observations, starts)
        ours = vector.step(actions)
        assert_same(ours, scalars.step(actions), f"step {step}")
        observations, starts = ours[0], ours[2] | ours[3]


def test_vector_equals_64_scalars_side_by_side(env_id: str) -> None:
    """With the parameters of the id, all that `SyncVectorEnv` gives."""
    vector, scalars = gym.make_vec(env_id, num_envs=64), make_sync_of(env_id, 64)
    assert_same(vector.reset(seed=100), scalars.reset(seed=100), "reset")
    vector.action_space.seed(0)
    for step in range(30):
        actions = vector.action_space.sample()
        assert_same(vector.step(actions), scalars.step(actions), f"step {step}")


@pytest.mark.slow
def test_vector_equals_scalars_for_64_seeds_and_10_000_steps(env_id: str) -> None:
    """Random actions. The scalars play one after another, without `SyncVectorEnv`; variants play 500 steps."""
    vector, block = gym.make_vec(env_id, num_envs=64), 500
    scalars: list[Any] = [gym.make(env_id).unwrapped for _ in range(64)]
    vector.reset(seed=100)
    for i, scalar in enumerate(scalars):
        scalar.reset(seed=100 + i)
    generator, actions = np.random.default_rng(0), scalars[0].action_space.n
    for begin in range(0, block if ENVIRONMENTS[env_id].kwargs else 10_000, block):
        chosen = generator.integers(actions, size=(block, 64))
        steps = [vector.step(row) for row in chosen]
        observations, rewards, terminated, truncated = (np.stack([s[k] for s in steps]) for k in range(4))
        results = np.stack([rewards, terminated, truncated], axis=2)
        keys = {key.removeprefix("_") for key in steps[0][4]} - {"final_obs", "final_info"}
        columns = {key: np.stack([s[4][key] for s in steps]) for key in keys}
        for i, scalar in enumerate(scalars):
            seen, rest, facts, ends = play_on(scalar, chosen[:, i].tolist())
            where = f"environment {i}, steps {begin} to {begin + block}"
            np.testing.assert_array_equal(observations[:, i], seen, err_msg=where)
            np.testing.assert_array_equal(results[:, i], rest, err_msg=where)
            for key, column in columns.items():
                assert column[:, i].tolist() == [fact[key] for fact in facts], where
            assert np.flatnonzero(terminated[:, i] | truncated[:, i]).tolist() == list(ends), where
            for at, (last, info) in ends.items():
                np.testing.assert_array_equal(steps[at][4]["final_obs"][i], last, err_msg=where)
                final = steps[at][4]["final_info"]
                assert {key: final[key][i] for key in final if key[0] != "_"} == info, where


def play_on(
    env: Any, actions: list[int]
) -> tuple[Any, Any, list[dict[str, Any]], dict[int, tuple[Any, Any]]]:
    """Steps that begin a new episode within the step that ends one.

    Returns what is seen after each; rewards and flags (steps, 3); infos; and by step the last observation and info.
    """
    seen, rest, facts, ends = [], [], [], {}
    for at, action in enumerate(actions):
        observation, reward, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            ends[at] = observation, info
            observation, info = env.reset()
        seen.append(observation)
        rest.append((reward, terminated, truncated))
        facts.append(info)
    return np.stack(seen), np.array(rest, np.float64), facts, ends


def test_results_do_not_depend_on_the_number_of_environments(env_id: str) -> None:
    few, many = make_vector(env_id, 2), make_vector(env_id, 5)
    few_observations, many_observations = few.reset(seed=9)[0], many.reset(seed=9)[0]
    many.action_space.seed(0)
    for _ in range(100):
        for ours, theirs in zip(leaves(few_observations), leaves(many_observations), strict=True):
            np.testing.assert_array_equal(ours, theirs[:2])
        actions = many.action_space.sample()
        few_observations, many_observations = few.step(actions[:2])[0], many.step(actions)[0]


def test_same_seed_same_episodes(env_id: str) -> None:
    runs = []
    for _ in range(2):
        env = gym.make(env_id, **quick(env_id))
        env.action_space.seed(1)
        run: list[Any] = [env.reset(seed=4)]
        for _ in range(100):
            run.append(env.step(env.action_space.sample()))
            if run[-1][2] or run[-1][3]:
                run.append(env.reset())
        runs.append(run)
    for first, second in zip(*runs, strict=True):
        assert_same(first, second, "run")


def test_nothing_returned_is_written_to_later(env_id: str) -> None:
    env = make_vector(env_id, 4)
    env.action_space.seed(0)
    returned = [leaves(dict(enumerate(env.reset(seed=0))))]
    for _ in range(60):
        returned.append(leaves(dict(enumerate(env.step(env.action_space.sample())))))
    for earlier, later in pairwise(returned):
        for a in earlier:
            assert not any(np.shares_memory(a, b) for b in later)
    for arrays in returned:
        for i, a in enumerate(arrays):
            assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_vector_draws_what_the_scalars_draw(env_id: str, mode: str) -> None:
    vector, scalars = make_vector(env_id, 3, render_mode=mode), make_sync(env_id, 3, render_mode=mode)
    vector.reset(seed=3)
    scalars.reset(seed=3)
    vector.action_space.seed(0)
    for _ in range(10):
        pictures, expected = vector.render(), scalars.render()
        assert pictures is not None and expected is not None and len(pictures) == 3
        for ours, theirs in zip(pictures, expected, strict=True):
            assert_same(ours, theirs, mode)
            assert isinstance(ours, str) if mode == "ansi" else ours.dtype == np.uint8 and ours.shape[2] == 3
        actions = vector.action_space.sample()
        vector.step(actions)
        scalars.step(actions)
