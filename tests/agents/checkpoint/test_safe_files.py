"""Files hold data and no code, and whatever stands in one, loading runs nothing but what it is made of."""

import collections
import io
import json
import math
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import safetensors
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.save_util import save_to_zip_file
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from expirespan.agents import AdaptivePenalty, Forgetting, MemoryActorCriticPolicy, MemoryPPO, PlateauPenalty
from expirespan.agents.checkpoint.archive import FORMAT
from expirespan.agents.checkpoint.codec import Decoder, Encoder, UnstorableError
from expirespan.memory import make_memory


class Extractor(FlattenExtractor):
    """A user's own."""


def data_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("data"))


def rewrite(path, change, member="data"):
    """Apply ``change`` to the data in a file (or replace a member)."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if member == "data":
        data = json.loads(members["data"])
        change(data)
        members["data"] = json.dumps(data).encode()
    else:
        members[member] = change
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def refused(path, *parts, loader=MemoryPPO.load, **kwargs):
    with pytest.raises(ValueError, match=r".") as error:
        loader(path, **kwargs)
    text = str(error.value)
    assert "\n" not in text and str(path) in text
    for part in parts:
        assert part in text
    return True


# What a file holds ---------------------------------------------------------------------------------------------------


def test_a_file_is_json_and_safetensors(make_agent, tmp_path):
    agent = make_agent(policy_kwargs={"features_extractor_class": Extractor}).learn(36)
    agent.save(tmp_path / "agent.zip")
    with zipfile.ZipFile(tmp_path / "agent.zip") as archive:
        assert set(archive.namelist()) == {
            "data", "policy.safetensors", "state.safetensors", "_stable_baselines3_version", "system_info.txt",
        }  # fmt: skip
        (tmp_path / "policy.safetensors").write_bytes(archive.read("policy.safetensors"))
    with safetensors.safe_open(tmp_path / "policy.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            assert th.equal(weights.get_tensor(name), agent.policy.state_dict()[name])
        assert set(weights.keys()) <= set(agent.policy.state_dict())
    data = data_of(tmp_path / "agent.zip")
    assert data["format"] == FORMAT and data["left_out"] == {}
    kwargs = data["attributes"]["policy_kwargs"]
    assert kwargs["features_extractor_class"] == {":": "class", "path": f"{__name__}:Extractor"}


def test_what_is_shared_is_written_once(make_agent, make_envs, tmp_path):
    agent = make_agent(policy="CnnPolicy", env=make_envs("Noise", observation="image"))
    assert agent.policy.share_features_extractor
    agent.save(tmp_path / "agent.zip")
    with zipfile.ZipFile(tmp_path / "agent.zip") as archive:
        weights = safetensors.torch.load(archive.read("policy.safetensors"))
    names = {name.split(".")[0] for name in weights}
    assert len(names & {"features_extractor", "pi_features_extractor", "vf_features_extractor"}) == 1
    loaded = MemoryPPO.load(tmp_path / "agent.zip", device="cpu").policy.state_dict()
    assert all(th.equal(value, loaded[name]) for name, value in agent.policy.state_dict().items())


def test_a_policy_from_before_its_extractor_was_shared(make_agent, make_envs, tmp_path):
    agent = make_agent(policy="CnnPolicy", env=make_envs("Noise", observation="image"))
    weights = agent.policy.state_dict()
    del agent.policy.pi_features_extractor
    agent.save(tmp_path / "agent.zip")
    with pytest.warns(UserWarning, match="shared features extractor"):
        loaded = MemoryPPO.load(tmp_path / "agent.zip", device="cpu")
    assert all(th.equal(value, loaded.policy.state_dict()[name]) for name, value in weights.items())


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
    assert restored == value and repr(restored) == repr(value), "repr tells types, inside of containers too"


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


# What cannot be stored ----------------------------------------------------------------------------------------------


def rate(remaining):
    return 1e-3 * remaining


def test_a_function_is_left_out_and_must_be_passed_again(make_agent, tmp_path):
    agent = make_agent(learning_rate=rate, clip_range=lambda remaining: 0.3)
    with pytest.warns(UserWarning, match="saved without learning_rate is <function rate") as warned:
        agent.save(tmp_path / "agent.zip")
    assert len(warned) == 1 and warned[0].filename == __file__
    example = "custom_objects={'learning_rate': ..., 'clip_range': ...}"
    assert example in str(warned[0].message)
    assert refused(tmp_path / "agent.zip", "cannot be stored as data", example)
    assert refused(tmp_path / "agent.zip", "{'clip_range': ...}", custom_objects={"learning_rate": rate})
    given = {"learning_rate": rate, "clip_range": 0.1}
    loaded = MemoryPPO.load(tmp_path / "agent.zip", custom_objects=given)
    assert loaded.lr_schedule(0.5) == 5e-4 and loaded.clip_range(0) == 0.1
    loaded = MemoryPPO.load(tmp_path / "agent.zip", learning_rate=0.1, clip_range=0.2)
    assert loaded.lr_schedule(0.5) == 0.1 and loaded.clip_range(0) == 0.2


def test_what_an_agent_can_do_without_is_left_out(make_agent, tmp_path):
    agent = make_agent()
    agent.something = (i for i in range(3))
    with pytest.warns(UserWarning, match="saved without something"):
        agent.save(tmp_path / "agent")
    assert not hasattr(MemoryPPO.load(tmp_path / "agent"), "something")


def test_a_class_of_a_module_that_is_not_imported(make_agent, tmp_path, monkeypatch):
    module = types.ModuleType("a_users_module")
    cls = type("Mine", (Extractor,), {"__module__": "a_users_module"})
    module.Mine = cls
    monkeypatch.setitem(sys.modules, "a_users_module", module)
    make_agent(policy_kwargs={"features_extractor_class": cls}).save(tmp_path / "agent.zip")
    assert type(MemoryPPO.load(tmp_path / "agent.zip").policy.features_extractor) is cls
    monkeypatch.delitem(sys.modules, "a_users_module")
    assert refused(
        tmp_path / "agent.zip", "'a_users_module' is not imported", "custom_objects={'a_users_module:Mine'"
    )
    given = {"a_users_module:Mine": cls}
    assert type(MemoryPPO.load(tmp_path / "agent.zip", custom_objects=given).policy.features_extractor) is cls
    assert refused(
        tmp_path / "agent.zip", "does not belong there", custom_objects={"a_users_module:Mine": dict}
    )


# Files that mean harm -----------------------------------------------------------------------------------------------


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused(make_agent, tmp_path):
    agent, mark = make_agent(), tmp_path / "exploded"
    path = tmp_path / "sb3.zip"
    save_to_zip_file(path, {"seed": Bomb(str(mark))}, agent.get_parameters(), {})
    why = ("carries a pickle", "trust_pickle=True")
    for load in (MemoryPPO.load, agent.set_parameters):
        assert refused(path, *why, loader=load)
    th.save(Bomb(str(mark)), tmp_path / "policy.pt")
    assert refused(tmp_path / "policy.pt", *why, loader=MemoryActorCriticPolicy.load)
    agent.save(tmp_path / "agent.zip")
    for member in ("extra.pkl", "policy.pth"):
        rewrite(tmp_path / "agent.zip", pickle.dumps(Bomb(str(mark))), member)
        assert refused(tmp_path / "agent.zip", *why)
    assert not mark.exists()
    with pytest.raises(ValueError, match="cannot be loaded as MemoryPPO"):
        MemoryPPO.load(path, trust_pickle=True)
    assert mark.exists(), "trust is trust"


def test_trusted_files_of_old_are_loaded(make_agent, tmp_path):
    """Until now our own files were SB3's: attributes pickled, weights saved by torch."""
    agent = make_agent().learn(36)
    data = {name: value for name, value in vars(agent).items() if name not in agent._excluded_save_params()}
    del data["_memory_state"]
    save_to_zip_file(tmp_path / "old.zip", data, agent.get_parameters(), {})
    loaded = MemoryPPO.load(tmp_path / "old.zip", trust_pickle=True, device="cpu")
    assert loaded.num_timesteps == 36
    other = make_agent(seed=9)
    other.set_parameters(tmp_path / "old.zip", trust_pickle=True)
    for one in (loaded, other):
        assert all(th.equal(v, one.policy.state_dict()[n]) for n, v in agent.policy.state_dict().items())
    th.save(
        {"state_dict": agent.policy.state_dict(), "data": agent.policy._get_constructor_parameters()},
        tmp_path / "p",
    )
    assert isinstance(
        MemoryActorCriticPolicy.load(tmp_path / "p", trust_pickle=True), MemoryActorCriticPolicy
    )


def test_an_agent_without_memory(tmp_path):
    PPO("MlpPolicy", "Toy/Noise-v0", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "sb3.zip")
    with pytest.raises(ValueError, match="carries a pickle"):
        MemoryPPO.load(tmp_path / "sb3")
    with pytest.warns(UserWarning, match="memory"):
        agent = MemoryPPO.load(tmp_path / "sb3", trust_pickle=True)
    theirs = PPO.load(tmp_path / "sb3", device="cpu")
    obs = theirs.observation_space.sample()
    assert np.array_equal(
        agent.predict(obs, deterministic=True)[0], theirs.predict(obs, deterministic=True)[0]
    )


EVIL = [
    ("policy_class", "os:system", "defines no such class"),
    ("policy_class", "subprocess:Popen", "does not belong there: expected a subclass of stable_baselines3"),
    ("policy_class", "builtins:eval", "defines no such class"),
    ("policy_class", "stable_baselines3.common.policies:partial", "defines no such class"),
    ("policy_class", "stable_baselines3.common.policies:th.optim.Adam", "defines no such class"),
    ("policy_class", "torch.optim.adam:Adam", "does not belong there"),
    ("policy_class", "expirespan.agents.core.policies:Gone", "defines no such class"),
    ("policy_class", "expirespan.gone:Gone", "is not imported"),
    ("policy_class", "", "is not imported"),
    ("rollout_buffer_class", "torch.nn.modules.linear:Linear", "expected a subclass of stable_baselines3"),
    ("rollout_buffer_class", "antigravity:Anything", "'antigravity' is not imported"),
]


@pytest.mark.parametrize("place, path, message", EVIL)
def test_classes_that_may_not_be_loaded(make_agent, tmp_path, place, path, message):
    make_agent().save(tmp_path / "agent.zip")
    rewrite(
        tmp_path / "agent.zip", lambda data: data["attributes"].update({place: {":": "class", "path": path}})
    )
    assert refused(tmp_path / "agent.zip", f"{place} is", message)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("place", ["features_extractor_class", "optimizer_class", "activation_fn"])
def test_classes_inside_policy_kwargs(make_agent, tmp_path, place):
    make_agent().save(tmp_path / "agent.zip")
    wrong = {
        ":": "class",
        "path": "torch.nn.modules.linear:Linear" if place != "activation_fn" else "torch.optim.adam:Adam",
    }
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"]["policy_kwargs"].update({place: wrong}))
    assert refused(tmp_path / "agent.zip", f"{place} is", "does not belong there")


STRANGE = [
    ({":": "code", "source": "1"}, "unknown kind 'code'"),
    ({":": "_call__"}, "unknown kind"),
    (
        {":": "data", "path": "subprocess:Popen", "fields": {"args": ["true"]}},
        "subprocess:Popen is no dataclass",
    ),
    ({":": "data", "path": "expirespan.agents.ppo:MemoryPPO", "fields": {}}, "is no dataclass"),
    (
        {":": "data", "path": "expirespan.agents.forgetting.penalty:AdaptivePenalty", "fields": {"coef": -1}},
        "is no data as it",
    ),
    ({":": "schedule", "kind": "FloatSchedule", "fields": {"value_schedule": "print"}}, "is no schedule"),
    ({":": "tensor", "name": "none"}, "is no tensor as it should be"),
    ({":": "dtype", "name": "os"}, "is no dtype"),
    ({":": "scalar", "dtype": "O", "value": 1}, "is no scalar"),
    ({":": "space", "data": {"kind": "Graph"}}, "Graph"),
    ({":": "memory", "path": "torch.nn.modules.linear:Linear", "tensors": {}}, "does not belong there"),
]


@pytest.mark.parametrize("value, message", STRANGE)
def test_values_that_may_not_be_loaded(make_agent, tmp_path, value, message):
    make_agent().save(tmp_path / "agent.zip")
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"].update(learning_rate=value))
    assert refused(tmp_path / "agent.zip", message)


@pytest.mark.parametrize("version", [FORMAT + 1, 99, None, "1"])
def test_a_format_from_the_future(make_agent, tmp_path, version):
    agent = make_agent()
    for save, load in ((agent.save, MemoryPPO.load), (agent.policy.save, MemoryActorCriticPolicy.load)):
        save(tmp_path / "agent.zip")
        rewrite(tmp_path / "agent.zip", lambda data: data.update(format=version))
        assert refused(
            tmp_path / "agent.zip", f"format version {version!r}", "update expirespan", loader=load
        )


def test_a_memory_of_another_architecture(make_agent, tmp_path):
    agent = make_agent().learn(36)
    agent._memory_state = make_agent(memory="gru").learn(36)._memory_state
    agent.save(tmp_path / "agent.zip")
    assert refused(tmp_path / "agent.zip", "needs a TransformerState of 2 layers", "got a RecurrentState")


def test_settings_of_the_wrong_kind(make_agent, tmp_path):
    make_agent().save(tmp_path / "agent.zip")
    wrong = {
        ":": "data",
        "path": "expirespan.agents.forgetting.penalty:ConstantPenalty",
        "fields": {"coef": 0.1},
    }
    rewrite(tmp_path / "agent.zip", lambda data: data["attributes"].update(forgetting=wrong))
    assert refused(
        tmp_path / "agent.zip", "forgetting must be a Forgetting or None, got ConstantPenalty(coef=0.1)"
    )
    lesson = {":": "data", "path": "expirespan.agents.forgetting.lesson:Forgetting", "fields": {}}
    rewrite(
        tmp_path / "agent.zip", lambda data: data["attributes"].update(forgetting=None, span_penalty=lesson)
    )
    assert refused(
        tmp_path / "agent.zip", "span_penalty must be a number or a schedule of it, got Forgetting("
    )


def test_a_policy_is_safe_too(make_agent, tmp_path):
    policy = make_agent(policy_kwargs={"features_extractor_class": Extractor}).policy
    for target in (tmp_path / "policy.pt", str(tmp_path / "policy")):
        policy.save(target)
        assert type(MemoryActorCriticPolicy.load(target, "cpu").features_extractor) is Extractor
    memory = io.BytesIO()
    policy.save(memory)
    memory.seek(0)
    assert MemoryActorCriticPolicy.load(memory, device="cpu").memory_name == "expire_span"
    rewrite(
        tmp_path / "policy.pt",
        lambda data: data["arguments"].update(optimizer_class={":": "class", "path": "subprocess:Popen"}),
    )
    assert refused(tmp_path / "policy.pt", "does not belong there", loader=MemoryActorCriticPolicy.load)
    with pytest.raises(FileNotFoundError):
        MemoryActorCriticPolicy.load(tmp_path / "none")
