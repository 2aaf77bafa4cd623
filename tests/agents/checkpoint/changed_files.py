"""Files that somebody wrote into."""

import json
import zipfile

import pytest
from stable_baselines3.common.torch_layers import FlattenExtractor

from expirespan.agents import MemoryPPO


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
