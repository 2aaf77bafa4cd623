from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from expirespan.experiments.episodes.frames import Frames, as_picture, shrink


def picture(value: int, height: int = 8, width: int = 8) -> Any:
    return np.full((height, width, 3), value, np.uint8)


def test_equal_pictures_are_kept_once() -> None:
    frames = Frames()
    assert [frames.add(picture(v)) for v in (5, 6, 5, 7, 6)] == [0, 1, 0, 2, 1]
    assert frames.array()[:, 0, 0, 0].tolist() == [5, 6, 7]
    assert Frames().array().shape == (0, 1, 1, 3)


def test_pictures_stay_within_the_budget() -> None:
    """Random ones, the worst: halved whenever they outgrow it, numbers unchanged, what is shown still theirs."""
    rng = np.random.default_rng(0)
    frames, budget = Frames(side=16, budget=20_000), 20_000
    given = [rng.integers(0, 256, (32, 16, 3), dtype=np.uint8) for _ in range(300)]
    assert [frames.add(one) for one in given] == list(range(300))
    kept = frames.array()
    assert kept.nbytes <= budget
    assert kept.shape[1:] == (4, 2, 3)
    means = [one.mean() for one in given]
    np.testing.assert_allclose(kept.mean((1, 2, 3)), means, atol=2)


def test_shrinking_averages() -> None:
    half = np.concatenate([picture(0, 4, 8), picture(100, 4, 8)])
    small = shrink(half, 2)
    assert small[:, :, 0].tolist() == [[0, 0], [100, 100]]
    assert shrink(half, 8) is not None and shrink(half, 8).shape == (8, 8, 3)
    assert shrink(picture(1, 2, 400), 10).shape == (1, 10, 3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((84, 84, 3), (84, 84, 3)),
        ((3, 40, 50), (40, 50, 3)),
        ((84, 84, 4), (84, 84, 3)),
        ((4, 84, 84), (84, 84, 3)),
    ],
)
def test_pictures_among_observations(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    space = spaces.Box(0, 255, shape, np.uint8)
    seen = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    found = as_picture(space, seen)
    assert found is not None and found.shape == expected
    both = spaces.Dict(a=spaces.Box(-1, 1, (4,)), b=space)
    again = as_picture(both, {"a": np.zeros(4), "b": seen})
    np.testing.assert_array_equal(again, found)


def test_stacked_frames_show_the_last() -> None:
    stack = np.zeros((4, 16, 16), np.uint8)
    stack[3] = 9
    found = as_picture(spaces.Box(0, 255, (4, 16, 16), np.uint8), stack)
    assert found is not None and (found == 9).all()


def test_vectors_and_small_grids_are_no_pictures() -> None:
    assert as_picture(spaces.Box(0, 1, (3, 3, 6), np.uint8), np.zeros((3, 3, 6))) is None
    assert as_picture(spaces.Box(-1, 1, (4,)), np.zeros(4)) is None
