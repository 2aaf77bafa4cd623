"""What is written as JSON and tensors comes back as it was; what is no data is refused."""

import collections
import io
import json
import math
import types

import numpy as np
import pytest
import safetensors
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from expirespan.agents import AdaptivePenalty, Forgetting, PlateauPenalty
from expirespan.agents.checkpoint.codec import Decoder, Encoder, UnstorableError
from expirespan.memory import make_memory

FLOATS = st.floats(allow_nan=False)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), FLOATS, st.text(max_size=5),
    st.sampled_from([math.inf, -math.inf, np.float32(0.1), np.int8(-3), np.bool_(True), np.uint64(2**64 - 1)]),
    st.sampled_from([th.nn.ReLU, th.optim.Adam, th.float32, th.device("cpu")]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(lambda items: collections.deque(items, maxlen=4)),
        st.dictionaries(st.one_of(st.text(max_size=3), st.just(":"), st.integers()), inner, max_size=3),
    ),
    max_leaves=10,
)


def again(value, name="x"):
    encoder = Encoder()
    text = json.dumps(encoder(value, name), allow_nan=False)
    tensors = safetensors.torch.load(safetensors.torch.save(encoder.tensors))
    return Decoder(tensors)(json.loads(text), name)


@settings(deadline=None, max_examples=200)
@given(VALUES)
def test_values_come_back(value):
    restored = again(value)
    assert restored == value and repr(restored) == repr(value), "repr shows types, also inside containers"


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_arrays_come_back(dtype, shape):
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) - 1).astype(dtype)
    restored = again({"a": [array.T, array[..., ::-1] if shape else array]})["a"]
    for one, other in zip(restored, (array.T, array[..., ::-1] if shape else array), strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
        assert one.flags.writeable


def test_tensors_that_only_once_lay_in_the_same_place_are_kept_apart():
    values = {str(i): th.full((1000,), i) for i in range(20)}
    encoder = Encoder()
    encoded = encoder({}, "x") | {name: encoder(value + 1, name) for name, value in values.items()}
    assert all(th.equal(Decoder(encoder.tensors)(encoded[n], n), value + 1) for n, value in values.items())


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, np.float64(2.5), (2, 3), np.float64),
        spaces.Box(np.array([-1, -np.inf], np.float32), np.array([0.1, np.inf], np.float32)),
        spaces.Box(0, 255, (4, 4, 3), np.uint8),
        spaces.Box(0.0, 1.0, ()),
        spaces.Discrete(5, start=-2),
        spaces.Discrete(3, dtype=np.int32),
        spaces.MultiDiscrete([3, 4], start=[1, -1]),
        spaces.MultiDiscrete([[3, 4], [2, 2]], dtype=np.int8),
        spaces.MultiBinary(3),
        spaces.MultiBinary([2, 3]),
        spaces.Dict(
            {"b": spaces.Discrete(2), "a": spaces.Dict({":": spaces.MultiBinary(2)})}, sort_keys=False
        ),
    ],
    ids=str,
)
def test_spaces_come_back(space):
    restored = again(space)
    assert restored == space and repr(restored) == repr(space) and restored.dtype == space.dtype
    space.seed(0), restored.seed(0)
    assert str(restored.sample()) == str(space.sample())


def test_schedules_and_settings_come_back():
    for schedule in (
        ConstantSchedule(0.1),
        LinearSchedule(0.3, 0.1, 0.5),
        FloatSchedule(LinearSchedule(1, 0, 1)),
    ):
        restored = again(schedule, "learning_rate")
        assert type(restored) is type(schedule)
        assert [restored(p / 10) for p in range(11)] == [schedule(p / 10) for p in range(11)]
    for value in (AdaptivePenalty(0.1, 0.9, current=0.05), PlateauPenalty(0.1), Forgetting(0.3, 0.7)):
        assert again(value) == value and type(again(value)) is type(value)


@pytest.mark.parametrize(
    "kind, kwargs", [("expire_span", {"max_span": 6, "ramp": 2}), ("lstm", {}), ("gru", {})]
)
def test_memories_come_back(kind, kwargs):
    memory = make_memory(kind, width=8, **kwargs)
    state = memory.step(
        th.randn(3, 8), memory.initial_state(3), th.ones(3, dtype=th.bool)
    ).state.without_cache()
    restored = again(state)
    assert type(restored) is type(state)
    for name, tensor in state.state_dict().items():
        assert th.equal(restored.state_dict()[name], tensor)


class Subclass(dict):
    pass


@pytest.mark.parametrize(
    "value",
    [lambda: 0, print, object(), {1, 2}, b"bytes", Subclass(), np.array([None]), np.array("text"), int, io.BytesIO,
     types, th.zeros(2, dtype=th.complex64), spaces.Text(3), (i for i in range(2))],
)  # fmt: skip
def test_what_is_no_data_is_not_stored(value):
    with pytest.raises(UnstorableError, match=r"^x\.y"):
        Encoder()({"y": value}, "x")
