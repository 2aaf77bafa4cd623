"""Where agents are saved: names, folders, links, open files."""

import io
from pathlib import Path

import pytest
import torch as th

from expirespan.agents import MemoryPPO
from expirespan.agents.checkpoint.files import destination
from tests.agents.checkpoint.saved import weights


@pytest.mark.parametrize(
    "given, written", [("a", "a.zip"), ("a.zip", "a.zip"), ("a.model", "a.model"), ("new/a", "new/a.zip")]
)
@pytest.mark.filterwarnings("ignore:.*does not exist. Will create it")
def test_names(make_agent, tmp_path, given, written):
    agent = make_agent()
    for path in (str(tmp_path / given), tmp_path / given):
        agent.save(path)
        assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [written]
        assert MemoryPPO.load(path).num_timesteps == 0
        assert MemoryPPO.load(tmp_path / written).num_timesteps == 0


def test_the_name_of_a_folder(make_agent, tmp_path):
    (tmp_path / "a.zip").mkdir()
    with pytest.warns(UserWarning, match="is a folder"):
        make_agent().save(tmp_path / "a")
    assert (tmp_path / "a.zip_2").is_file() and MemoryPPO.load(tmp_path / "a.zip_2")
    with pytest.raises(FileNotFoundError):
        MemoryPPO.load(tmp_path / "a")


def test_a_link_is_written_through(make_agent, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "last.zip").symlink_to(tmp_path / "there" / "step.zip")
    make_agent().save(tmp_path / "last.zip")
    assert (tmp_path / "last.zip").is_symlink() and (tmp_path / "there" / "step.zip").is_file()


def test_file_like_objects(make_agent, tmp_path):
    agent = make_agent().learn(36)
    memory = io.BytesIO()
    agent.save(memory)
    memory.seek(0)
    assert th.equal(weights(MemoryPPO.load(memory)), weights(agent))
    with (tmp_path / "agent").open("wb") as file:
        agent.save(file)
    with (tmp_path / "agent").open("rb") as file:
        assert th.equal(weights(MemoryPPO.load(file)), weights(agent))
    with pytest.raises(ValueError, match="the given BytesIO is no saved agent"):
        MemoryPPO.load(io.BytesIO(b"nothing"))


def test_where_files_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert destination("a") == tmp_path.resolve() / "a.zip"
    assert destination(Path("b/a.zip")) == tmp_path.resolve() / "b" / "a.zip"
