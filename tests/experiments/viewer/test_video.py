"""Videos of episodes: as many frames as moments, the same as W&B's film, and what cannot be written."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.viewer import video
from expirespan.experiments.viewer.command import view_command
from expirespan.experiments.viewer.episode_media import film
from expirespan.experiments.viewer.video import write_video


def frames_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        found = []
        for i in range(getattr(picture, "n_frames", 1)):
            picture.seek(i)
            found.append(np.asarray(picture.convert("RGB")))
        return np.stack(found)


@pytest.mark.parametrize("layers", [0, 2])
def test_a_gif_has_every_moment(random_trace: Any, tmp_path: Path, layers: int) -> None:
    trace = random_trace(80, L=layers)
    path = write_video(trace, tmp_path / "episode.GIF")
    frames, expected = frames_of(path), film(trace, None, 600).frames
    assert frames.shape == expected.shape and len(frames) == 80
    assert np.abs(frames.astype(int) - expected).mean() < 4, "256 colours are enough"
    assert len(film(trace).frames) == 60
    assert [file.name for file in tmp_path.iterdir()] == ["episode.GIF"]


def test_long_episodes_are_thinned_out(
    random_trace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MOST_MOMENTS", 7)
    trace = random_trace(50)
    frames = frames_of(write_video(trace, tmp_path / "episode.gif"))
    assert len(frames) == 7
    everything = film(trace, None, 600).frames
    for one, other in ((frames[0], everything[0]), (frames[-1], everything[-1])):
        assert np.abs(one.astype(int) - other).mean() < 4


def test_an_mp4_has_every_moment(random_trace: Any, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    trace = random_trace(33, L=9)  # strips of an odd height
    path = write_video(trace, tmp_path / "episode.mp4")
    expected = film(trace, None, 600)
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    height, width = (side + side % 2 for side in expected.frames.shape[1:3])
    assert about["size"] == (width, height) and about["fps"] == expected.fps
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    assert len(frames) == 33
    for frame, other in zip(frames, expected.frames, strict=True):
        own = frame[: other.shape[0], : other.shape[1]].astype(int)
        assert np.abs(own - other).mean() < 4, "lossy, but the same picture"
    assert write_video(trace, tmp_path / "again.mp4").read_bytes() == path.read_bytes()


def test_texts_stand_on_the_frames(random_trace: Any) -> None:
    plain = film(random_trace(5)).frames
    told = film(random_trace(5, text=np.array(["a short line", "", "x " * 300, "y" * 400, "z"]))).frames
    differs = [(one != other).any() for one, other in zip(plain, told, strict=True)]
    assert differs == [True, False, True, True, True]
    assert told.shape == plain.shape


def test_what_cannot_be_written(random_trace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"video=.*episode\.avi: expected a file that ends in \.gif or \.mp4"):
        write_video(random_trace(5), tmp_path / "episode.avi")
    with pytest.raises(UserError, match="in an existing folder"):
        write_video(random_trace(5), tmp_path / "missing" / "episode.gif")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'expirespan\[video\]', or write episode\.gif"):
        write_video(random_trace(5), tmp_path / "episode.mp4")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_them_beside_the_page(
    random_trace: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, film_path, picture = (tmp_path / name for name in ("one.npz", "one.gif", "one.pdf"))
    random_trace(20).save(trace)
    assert view_command([str(trace), "--video", str(film_path), "--picture", str(picture)]) == 0
    assert len(frames_of(film_path)) == 20 and picture.read_bytes().startswith(b"%PDF")
    assert capsys.readouterr().out.splitlines()[1:] == [str(picture), str(film_path)]
    for option, path in (("--video", "one.webm"), ("--picture", "one.jpeg")):
        (tmp_path / "one.html").unlink(missing_ok=True)
        with pytest.raises(UserError, match="expected a file that ends in"):
            view_command([str(trace), option, str(tmp_path / path)])
        assert not (tmp_path / "one.html").exists(), "refused before anything is written"
