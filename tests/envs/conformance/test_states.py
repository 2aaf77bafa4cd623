"""Every registered environment: its state can be taken, written to a file and set again."""

from typing import Any

import numpy as np
import pytest

from expirespan.envs import Restorable
from tests.envs.conformance.checks import EACH, assert_same, make_vector, quick, through_json

pytestmark = EACH


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
