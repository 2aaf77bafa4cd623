from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.settings.errors import UserError


@pytest.mark.parametrize("layers", [0, 2])
def test_round_trip(make_trace: Any, tmp_path: Path, layers: int) -> None:
    trace = make_trace(10, layers)
    path = tmp_path / "trace.npz"
    trace.save(path)
    again = EpisodeTrace.load(path)
    assert again.about == trace.about
    for name in ("observation", "action", "reward", "value", "cue", "span", "alive", "death"):
        before, after = getattr(trace, name), getattr(again, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.npz"]


def test_what_is_kept(make_trace: Any) -> None:
    trace = make_trace(10)
    assert np.flatnonzero(trace.kept[0]).tolist() == [0, 1, 7, 8, 9]
    assert np.flatnonzero(trace.kept[1]).tolist() == [7, 8, 9]


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -30])
def test_a_truncated_file_is_explained(make_trace: Any, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "trace.npz"
    make_trace(10).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"trace\.npz is damaged"):
        EpisodeTrace.load(path)


def test_a_flipped_bit_is_noticed(make_trace: Any, tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    make_trace(200).save(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"span.npy") + 60] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged"):
        EpisodeTrace.load(path)


def test_other_files_are_explained(make_trace: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    with pytest.raises(UserError, match="there is no trace"):
        EpisodeTrace.load(path)
    np.savez(path, a=1)
    with pytest.raises(UserError, match="no trace of an episode"):
        EpisodeTrace.load(path)
    np.savez(path, format="expirespan-trace", version=99)
    with pytest.raises(UserError, match="version 99"):
        EpisodeTrace.load(path)
    np.savez(path, format="expirespan-trace", version=1)
    with pytest.raises(UserError, match="version 1 and this program reads 2 and 3"):
        EpisodeTrace.load(path)
    np.savez(path, format="expirespan-trace", version=2, about="{}")
    with pytest.raises(UserError, match="without observation"):
        EpisodeTrace.load(path)
    make_trace(10).save(path)
    with np.load(path) as file:
        data = {name: file[name] for name in file.files if name != "digest"}
    np.savez(path, **(data | {"reward": np.zeros(3)}))
    with pytest.raises(UserError, match="reward has 3 entries"):
        EpisodeTrace.load(path)
    np.savez(path, **(data | {"about": "{"}))
    with pytest.raises(UserError, match="damaged"):
        EpisodeTrace.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("death", np.full((2, 10), 11), "death refers to what is not in the episode"),
        ("death", np.zeros((2, 10), int), "death refers"),
        ("attended", np.full((2, 10, 3), 1), "attended refers"),
        ("attended", np.zeros((2, 9, 3), int), "attended has shape"),
        ("frame", np.zeros(10, int), "frame refers"),
        ("frames", np.zeros((2, 4, 4), np.uint8), "frames has shape"),
        ("span", np.full((2, 10), "a"), "span holds"),
        ("text", np.full(3, "a"), "text has 3 entries"),
        ("about", "[]", "about holds list"),
        ("observation", np.zeros((0, 3)), "at least one step"),
    ],
)
def test_what_cannot_be_is_refused(
    make_trace: Any, tmp_path: Path, name: str, value: Any, message: str
) -> None:
    path = tmp_path / "trace.npz"
    make_trace(10).save(path)
    with np.load(path) as file:
        data = {name: file[name] for name in file.files if name != "digest"}
    np.savez(path, **(data | {name: value}))
    with pytest.raises(UserError, match=f"damaged trace: .*{message}"):
        EpisodeTrace.load(path)


def test_alive_memories_by_hand(make_trace: Any) -> None:
    """Layer 1 keeps steps 0 and 1; a state written at i is read until i + 3."""
    there = make_trace(10).alive_at(7)
    assert np.flatnonzero(there[0]).tolist() == [0, 1, 4, 5, 6, 7]
    assert np.flatnonzero(there[1]).tolist() == [4, 5, 6, 7]
