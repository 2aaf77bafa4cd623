"""What every registered environment must keep; a new one is tested by being registered."""

import json
import os
import warnings
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from expirespan.envs import ENVIRONMENTS, ORACLES, Environment, Restorable

IDS = sorted(ENVIRONMENTS)
HEADINGS = [
    "Description",
    "What must be remembered",
    "For how long",
    "Action space",
    "Observation space",
    "Reward",
    "Start",
    "Episode end",
    "Parameters",
    "Optimum",
    "Chance",
    "Memoryless ceiling",
    "Source",
    "Version history",
]

pytestmark = pytest.mark.parametrize("env_id", IDS)


def quick(env_id: str) -> dict[str, Any]:
    return dict(ENVIRONMENTS[env_id].quick)


def make_vector(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return gym.make_vec(env_id, num_envs=num_envs, **{**quick(env_id), **kwargs})


def make_sync(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return make_sync_of(env_id, num_envs, **{**quick(env_id), **kwargs})


def make_sync_of(env_id: str, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv(
        [lambda: gym.make(env_id, **kwargs)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP
    )


def assert_same(a: Any, b: Any, where: str) -> None:
    """Equal in type, dtype, shape and value, through dicts and object arrays."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, tuple) or (isinstance(a, np.ndarray) and a.dtype == object):
        assert len(a) == len(b), where
        for i, (item_a, item_b) in enumerate(zip(a, b, strict=True)):
            assert_same(item_a, item_b, f"{where}[{i}]")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert a == b, where


def leaves(value: Any) -> list[Any]:
    """The arrays inside dicts and object arrays."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [value] + [leaf for item in value for leaf in leaves(item)]
    return [value] if isinstance(value, np.ndarray) else []


def test_is_listed_with_an_oracle(env_id: str) -> None:
    borrowed = {"CartPoleNoVel-v1", "PendulumNoVel-v1", "MiniGridMemoryS13-v0"}  # tested in test_borrowed.py
    registered = {name.removeprefix("ExpireSpan/") for name in gym.registry if name.startswith("ExpireSpan/")}
    assert registered - borrowed == {name.removeprefix("ExpireSpan/") for name in IDS}
    assert set(IDS) == set(ORACLES)
    listed: Environment = ENVIRONMENTS[env_id]
    spec = gym.spec(env_id)
    assert (spec.entry_point, spec.vector_entry_point) == (listed.entry_point, listed.vector_entry_point)


def test_gymnasium_checker_has_nothing_to_say(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "dummy")
    env = gym.make(env_id, render_mode="rgb_array", **quick(env_id)).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*system font.*")  # MiniGrid's, about this machine
        check_env(env)


def test_stable_baselines_checker_has_nothing_to_say(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # It takes every box of three axes for an image; what its policies test, `is_image_space`, does not.
        warnings.filterwarnings("ignore", ".*observation space.*is an image.*")
        warnings.filterwarnings("ignore", ".*minimal resolution for an image.*")
        check_env_for_sb3(gym.make(env_id, **quick(env_id)))


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


@pytest.mark.parametrize("kwargs", ["quick", "default"])
def test_oracle_reaches_the_optimum(env_id: str, kwargs: str) -> None:
    num_envs = 100
    listed, optimum = ENVIRONMENTS[env_id], ENVIRONMENTS[env_id].optimum
    env = make_vector(env_id, num_envs) if kwargs == "quick" else gym.make_vec(env_id, num_envs=num_envs)
    if kwargs == "quick" and listed.quick_optimum is not None:
        optimum = listed.quick_optimum
    oracle = ORACLES[env_id](num_envs)
    observations, _ = env.reset(seed=0)
    returns, starts, playing = np.zeros(num_envs), np.ones(num_envs, bool), np.ones(num_envs, bool)
    while playing.any():
        observations, rewards, terminated, truncated, _ = env.step(oracle.act(observations, starts))
        returns += rewards * playing
        starts = terminated | truncated
        playing &= ~starts
    if kwargs == "quick" or not listed.deviation:
        np.testing.assert_allclose(returns, optimum)
    else:
        assert abs(returns.mean() - optimum) < 4 * listed.deviation / np.sqrt(num_envs)


def test_card_has_every_heading_in_order(env_id: str) -> None:
    card = type(gym.make(env_id).unwrapped).__doc__ or ""
    lines = [
        line[4:] for line in card.splitlines() if line.startswith("    ") and not line.startswith("     ")
    ]
    assert [line for line in lines if line] == HEADINGS
    assert env_id in card


def test_metadata(env_id: str) -> None:
    scalar, vector = gym.make(env_id).unwrapped, gym.make_vec(env_id, num_envs=2)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.metadata is not type(vector.unwrapped).metadata, "wrappers may write into it"
    assert set(vector.metadata["render_modes"]) <= set(scalar.metadata["render_modes"])
    assert {"rgb_array", "ansi"} <= set(vector.metadata["render_modes"])
    assert vector.metadata["render_fps"] == scalar.metadata["render_fps"] > 0


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


@pytest.mark.filterwarnings("ignore:.*system font.*")
@pytest.mark.filterwarnings(
    "ignore:.*natively support.*"
)  # text has no window of its own: a wrapper makes it
def test_human_mode_draws_on_the_screen(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "dummy")
    env = gym.make(env_id, render_mode="human", **quick(env_id))
    env.reset(seed=0)
    assert env.render() is None
    env.close()
    env.close()


def test_spec_survives_json(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert EnvSpec.from_json(spec.to_json()) == spec
    again = gym.make(EnvSpec.from_json(gym.make(env_id, **quick(env_id)).spec.to_json()))
    assert again.spec is not None and again.spec.kwargs == {**ENVIRONMENTS[env_id].kwargs, **quick(env_id)}
    assert spec.max_episode_steps is None


def test_step_and_render_before_reset_are_refused(env_id: str) -> None:
    kwargs = quick(env_id) | {"render_mode": "ansi"}
    for env in (gym.make(env_id, **kwargs).unwrapped, make_vector(env_id, 2, **kwargs)):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(env.action_space.sample())
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.render()


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """A state as a file gives it back: arrays as they are, all else out of JSON."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    return {**json.loads(json.dumps(rest)), **arrays}


@pytest.mark.parametrize("steps", [0, 1, 57])
def test_a_restored_environment_goes_on_as_the_original(env_id: str, steps: int) -> None:
    original: Any = make_vector(env_id, 5).unwrapped
    assert isinstance(original, Restorable)
    original.reset(seed=3)
    original.action_space.seed(0)
    for _ in range(steps):
        original.step(original.action_space.sample())
    state = original.get_state()
    actions = [original.action_space.sample() for _ in range(150)]
    expected = [original.step(action) for action in actions]
    assert sum(int((step[2] | step[3]).sum()) for step in expected) > 5, "new episodes are drawn as well"
    restored: Any = make_vector(env_id, 5).unwrapped
    restored.reset(seed=8)
    restored.step(actions[0])
    for _ in range(2):  # a state can be set again: nothing wrote into it
        restored.set_state(through_json(state))
        assert restored.np_random_seed == original.np_random_seed
        for i, action in enumerate(actions):
            assert_same(restored.step(action), expected[i], f"step {i}")


def test_parameters_may_be_numpys(env_id: str) -> None:
    numpys = {  # of the smallest type that holds them, in which sums would overflow
        name: np.min_scalar_type(value).type(value) if type(value) is int else value
        for name, value in quick(env_id).items()
    }
    env, plain = make_vector(env_id, 2, **numpys).unwrapped, make_vector(env_id, 2).unwrapped
    env.reset(seed=0)
    plain.reset(seed=1)
    plain.set_state(through_json(env.get_state()))
    assert_same(plain.step([0, 0]), env.step([0, 0]), "step")


def test_a_reset_that_fails_changes_nothing(env_id: str) -> None:
    bad: Any
    env = gym.make(env_id, **quick(env_id)).unwrapped
    for _ in range(2):  # before an episode, and after one
        with pytest.raises(gym.error.Error, match="greater or equal to zero"):
            env.reset(seed=-1)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(env.action_space.sample())
        env.reset(seed=0)
        while not any(env.step(env.action_space.sample())[2:4]):
            pass
    vector = make_vector(env_id, 2)
    for bad, message in (
        (1.5, "expected an int, or a list of 2"),
        ([0], "expected an int, or a list of 2"),
        ([0, 1.5], "integer"),
        ([0, -1], "greater or equal to zero"),
    ):
        vector.reset(seed=np.arange(2))  # type: ignore[arg-type]
        before = vector.unwrapped.get_state()  # type: ignore[attr-defined]
        with pytest.raises((ValueError, gym.error.Error), match=message):
            vector.reset(seed=bad)
        assert_same(before, vector.unwrapped.get_state(), "state")  # type: ignore[attr-defined]
    for bad, message in ((5, "expected a dict"), ({1: 1, "a": 2}, r"unknown reset options \['1', 'a'\]")):
        with pytest.raises(ValueError, match=message):
            vector.reset(options=bad)


def test_a_state_from_elsewhere_is_refused(env_id: str) -> None:
    env: Any = make_vector(env_id, 3).unwrapped
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(ValueError, match="num_envs=3, and this environment 2"):
        make_vector(env_id, 2).unwrapped.set_state(state)
    with pytest.raises(ValueError, match="environment='Other'"):
        env.set_state({**state, "environment": "Other"})
    with pytest.raises(ValueError, match="1 generators: expected 3"):
        env.set_state({**state, "generators": state["generators"][:1]})
    with pytest.raises(ValueError, match="cannot be set"):
        env.set_state({**state, "generators": [3, 4, 5]})
    with pytest.raises(ValueError, match="lacks generators"):
        env.set_state({name: value for name, value in state.items() if name != "generators"})
    other = {"max_length": 13} if "max_length" in env.rules.__dict__ else {"max_steps": 47}
    with pytest.raises(ValueError, match="make it with the parameters of the state"):
        make_vector(env_id, 3, **other).unwrapped.set_state(state)
    name = next(name for name, value in state.items() if isinstance(value, np.ndarray))
    with pytest.raises(ValueError, match=f"{name} in the state has shape"):
        env.set_state({**state, name: state[name][:2]})


def test_step_after_the_end_is_refused(env_id: str) -> None:
    env, oracle = gym.make(env_id, **quick(env_id)).unwrapped, ORACLES[env_id](1)
    observation, _ = env.reset(seed=0)
    ended, start = False, True
    while not ended:
        observation, _, terminated, truncated, info = env.step(oracle.act(observation[None], [start])[0])
        ended, start = terminated or truncated, False
    assert isinstance(info["is_success"], bool)
    with pytest.raises(gym.error.ResetNeeded, match="after the end of an episode: call reset"):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("action", [-1, "n", 1.5, "left", None, [0]], ids=repr)
def test_wrong_actions_are_refused(env_id: str, action: Any) -> None:
    scalar, vector = gym.make(env_id, **quick(env_id)).unwrapped, make_vector(env_id, 2)
    action = scalar.action_space.n if action == "n" else action
    scalar.reset(seed=0)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"action=.*: expected 0"):
        scalar.step(action)
    if action != [0]:
        with pytest.raises(ValueError, match="expected"):
            vector.step([action, 0])
    with pytest.raises(ValueError, match="expected 2 integers"):
        vector.step([0, 0, 0])


def test_wrong_numbers_and_options_are_refused(env_id: str) -> None:
    scalar, vector = gym.make(env_id, **quick(env_id)).unwrapped, make_vector(env_id, 2)
    for env in (scalar, vector):
        with pytest.raises(ValueError, match=r"unknown reset options \['map'\]"):
            env.reset(options={"map": 1})
    with pytest.raises(ValueError, match=r"seed=\[1\]: expected an int, or a list of 2"):
        vector.reset(seed=[1])
    with pytest.raises(ValueError, match="num_envs must be an integer >= 1, got 0"):
        make_vector(env_id, 0)
