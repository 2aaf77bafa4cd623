"""What an agent's file holds, and what it leaves out."""

import sys
import types
import zipfile

import pytest
import safetensors
import torch as th

from expirespan.agents import MemoryPPO
from expirespan.agents.checkpoint.archive import FORMAT
from tests.agents.checkpoint.changed_files import Extractor, data_of, refused


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
    assert kwargs["features_extractor_class"] == {":": "class", "path": f"{Extractor.__module__}:Extractor"}


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
