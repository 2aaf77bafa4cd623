"""An episode as a video file, with the spans under the frames: GIF, or MP4 where imageio-ffmpeg is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from expirespan.experiments.episodes.frames import ImageOf
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_values import Movie
from expirespan.experiments.viewer.episode_media import film

VIDEOS = (".gif", ".mp4")
MOST_MOMENTS = 600
"""Moments of an episode that a video shows, at most, evenly spread: a minute and a quarter."""


def check_video(path: Path, name: str = "video") -> None:
    """Raise UserError unless a video can be written to the path that the option ``name`` gives."""
    if path.suffix.lower() not in VIDEOS or not path.parent.is_dir():
        raise UserError(
            f"{name}={path}: expected a file that ends in {' or '.join(VIDEOS)}, in an existing folder"
        )
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(
            f"{name}={path}: MP4 needs imageio-ffmpeg, which is not installed; pip install 'expirespan[video]', or "
            f"write {path.with_suffix('.gif').name}"
        )


def write_video(trace: EpisodeTrace, path: Path, image_of: ImageOf | None = None) -> Path:
    """Write the episode as GIF or MP4, atomically, and return the path; `film` says what is on the frames.

    Raises:
        UserError: the suffix is neither, there is no such folder, or imageio-ffmpeg is not installed.
    """
    check_video(path)
    movie = film(trace, image_of, MOST_MOMENTS)
    with atomically(path) as temporary:
        if path.suffix.lower() == ".gif":
            temporary.write_bytes(movie.gif())
        else:
            _write_mp4(movie, temporary)
    return path


def _write_mp4(movie: Movie, path: Path) -> None:
    """H.264 in the colours that every player knows, whose sides are even."""
    import imageio_ffmpeg

    frames = np.pad(
        movie.frames, [(0, 0), *((0, side % 2) for side in movie.frames.shape[1:3]), (0, 0)], "edge"
    )
    height, width = frames.shape[1:3]
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=movie.fps, macro_block_size=2, quality=8,
        output_params=["-f", "mp4", "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact"],
    )  # fmt: skip
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
