"""Saving that is interrupted, and files that are missing, damaged or of something else."""

import os
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch as th

from expirespan.agents import MemoryPPO
from expirespan.agents.checkpoint import WeightsError
from tests.agents.checkpoint.saved import one_paragraph


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(make_agent, tmp_path, monkeypatch, failing):
    agent = make_agent()
    agent.save(tmp_path / "agent")
    before = (tmp_path / "agent.zip").read_bytes()

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    agent.learn(36)
    if failing == "write":
        monkeypatch.setattr(safetensors.torch, "save", interrupt)
    elif failing == "fsync":
        monkeypatch.setattr(os, "fsync", interrupt)
    else:
        monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.save(tmp_path / "agent")
    assert [p.name for p in tmp_path.iterdir()] == ["agent.zip"]
    assert (tmp_path / "agent.zip").read_bytes() == before


def test_the_file_appears_only_when_it_is_whole_and_on_disk(make_agent, tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        if order:
            order.append("fsync of the folder")
        else:
            order.append("fsync")
            assert not (tmp_path / "agent.zip").exists()
        fsync(descriptor)

    def replaced(self, target):
        order.append("replace")
        assert self.parent == Path(target).parent, "within one file system"
        assert zipfile.ZipFile(self).testzip() is None
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    make_agent().save(tmp_path / "agent")
    assert order == ["fsync", "replace", "fsync of the folder"]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        MemoryPPO.load(tmp_path / "agent")
    assert one_paragraph(
        error, tmp_path / "agent", tmp_path / "agent.zip", "give the path that save() was given"
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_file(make_agent, tmp_path, share):
    path = tmp_path / "agent.zip"
    make_agent().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="is no saved agent, or its end is missing") as error:
        MemoryPPO.load(path)
    assert one_paragraph(error, path, "it wasn't a zip-file", "load an earlier checkpoint")


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8])
def test_a_damaged_file(make_agent, tmp_path, share):
    path = tmp_path / "agent.zip"
    make_agent().save(path)
    data = bytearray(path.read_bytes())
    middle = int(len(data) * share)
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"is damaged|is no saved agent") as error:
        MemoryPPO.load(path)
    assert one_paragraph(error, path, "load an earlier checkpoint")


def test_other_files(make_agent, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat.png", b"")
    with pytest.raises(ValueError, match=r"lacks data, policy\.safetensors, state") as error:
        MemoryPPO.load(tmp_path / "photos.zip")
    assert one_paragraph(error, tmp_path / "photos.zip", "holds cat.png", "expected what save() of this")
    make_agent().policy.save(str(tmp_path / "policy.pt"))
    with pytest.raises(
        ValueError, match="cannot be loaded as MemoryPPO: its attributes are missing"
    ) as error:
        MemoryPPO.load(tmp_path / "policy.pt")


@pytest.mark.parametrize(
    "key, words, env",
    [
        ("observation_space", "observation space Box", {"observation": "discrete"}),
        ("action_space", "action space Discrete", {"action": "box"}),
    ],
)
def test_other_spaces(make_agent, make_envs, tmp_path, key, words, env):
    agent, other = make_agent(), make_envs("Noise", **env)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match=words) as error:
        MemoryPPO.load(tmp_path / "agent", other)
    spaces = getattr(agent, key), getattr(other, key)
    assert one_paragraph(error, tmp_path / "agent.zip", *spaces, "give an environment with the same spaces")


OTHERS = [
    ({"memory_kwargs": {"width": 8}}, "has shape (2, 4, 8), expected (2, 4, 4)"),
    ({"memory_kwargs": {"layers": 1}}, "has 'memory.layers.1.position', expected no such"),
    ({"memory_kwargs": {"layers": 3}}, "policy lacks 'memory.layers.2."),
    ({"memory": "lstm"}, "expected no such"),
    ({"policy_kwargs": {"predictor_lr": 0.5}}, "policy.optimizer has groups of"),
]


@pytest.mark.parametrize("other, message", OTHERS)
def test_weights_of_another_architecture(make_agent, tmp_path, other, message):
    path = tmp_path / "agent.zip"
    make_agent().learn(36).save(path)
    agent = make_agent(**other).learn(36)
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    with pytest.raises(WeightsError, match="weights of another architecture") as error:
        agent.set_parameters(path)
    assert one_paragraph(error, path, message, "policy_kwargs", "weights are unchanged")
    assert all(th.equal(value, before[name]) for name, value in agent.policy.state_dict().items())
    with pytest.raises(ValueError, match="weights of another architecture") as error:
        MemoryPPO.load(path, custom_objects={"policy_kwargs": agent.policy_kwargs})
    assert one_paragraph(error, path, message)
