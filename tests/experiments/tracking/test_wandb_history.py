"""A resumed offline run: the newest W&B folder has every row once, and `wandb sync` finds no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Image

from expirespan.agents import Histogram
from expirespan.experiments.tracking import wandb_writer
from expirespan.experiments.tracking.log_files import STEP
from expirespan.experiments.tracking.log_values import Page, Table
from expirespan.experiments.tracking.wandb_files import read_rows, rows_of, run_files
from expirespan.experiments.tracking.wandb_history import Earlier
from expirespan.experiments.tracking.wandb_writer import WandbWriter

TIMES = {"_step", "_timestamp", "_runtime"}


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def log(writer: WandbWriter, step: int) -> None:
    picture = np.full((4, 4, 3), step % 256, np.uint8)
    writer.write(
        {
            "x": step / 7,
            "spans": Histogram(np.arange(5) * step, np.arange(6) / 3),
            "picture": Image(picture, "HWC"),
            "page": Page(f"<p>{step}</p>"),
            "table": Table(("picture", "step"), [(picture, step)]),
        },
        {},
        step,
    )


def part(folder: Path, steps: tuple[int, ...], until: int | None = None, kept: Any = None) -> Path:
    """Log a part of a run to its end; its folder."""
    before = set(folder.glob("wandb/offline-run-*"))
    writer = WandbWriter(folder, "name", {}, "offline", until, kept)
    for step in steps:
        log(writer, step)
    writer.close()
    (made,) = set(folder.glob("wandb/offline-run-*")) - before
    deadline = time.monotonic() + 60
    while not read_rows(next(made.glob("*.wandb")))[1] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.1)  # W&B names its folders by the second
    return made


def rows(folder: Path) -> list[dict[str, Any]]:
    """What a part has, without its times; W&B's own paths are checked for being there."""
    found = []
    for row in read_rows(next(folder.glob("*.wandb")))[0]:
        plain = {key: json.loads(value) for key, value in row.items() if key not in TIMES}
        for key in ("picture/path", "page/path", "table/path"):
            assert (folder / "files" / plain[key]).stat().st_size > 0
        found.append(plain)
    return found


def unsent(path: Path) -> list[str]:
    """The folders whose files `wandb sync` would upload, with or without their names."""
    sync = pytest.importorskip("wandb.cli.beta_sync", reason="older versions look for files in another place")
    paths = [path / "wandb", *path.glob("wandb/offline-run-*")]
    found = sync._find_wandb_files(paths, skip_synced=True, skip_online=True, verbose=False)
    return sorted({file.resolve().parent.name for file in found})


def test_the_newest_part_has_every_row_once(tmp_path: Path) -> None:
    """Logged to step 30, resumed at 10, then at 40 with the count of rows that the CSV keeps."""
    first = part(tmp_path, (10, 20, 20, 30))
    original = rows(first)
    assert unsent(tmp_path) == [first.name]
    second = part(tmp_path, (20, 20, 30, 40), until=10)
    assert [row[STEP] for row in rows(second)] == [10, 20, 20, 30, 40]
    assert rows(second)[0] == original[0], "histogram, picture, page and table as they were"
    assert len({row["spans/values"] is None for row in rows(second)}) == 1
    third = part(tmp_path, (40, 50), until=40, kept=Counter({10: 1, 20: 2, 30: 1}))
    found = rows(third)
    assert [row[STEP] for row in found] == [10, 20, 20, 30, 40, 50]
    assert found[:4] == rows_before(second)[:4]
    assert [json.loads(row["_step"]) for row in read_rows(next(third.glob("*.wandb")))[0]] == list(range(6))
    for row in found:
        assert row["spans/values"] == (np.arange(5) * row[STEP]).tolist()
    assert [file.parent for file in run_files(tmp_path)] == [third]
    for older in (first, second):
        assert [file.name for file in older.glob("*.wandb*")] == ["run-name.wandb.superseded"]
    assert unsent(tmp_path) == [third.name]


def rows_before(folder: Path) -> list[dict[str, Any]]:
    """What a superseded part had."""
    (file,) = folder.glob("*.superseded")
    found = read_rows(file)[0]
    return [{key: json.loads(value) for key, value in row.items() if key not in TIMES} for row in found]


@pytest.mark.slow
def test_a_part_whose_process_was_killed(tmp_path: Path) -> None:
    """What the killed part has not on disk is in the one before, which is not superseded yet."""
    first = part(tmp_path, (10, 20))
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from expirespan.experiments.tracking.wandb_writer import WandbWriter\n"
        "writer = WandbWriter(Path(sys.argv[1]), 'name', {}, 'offline', 20)\n"
        "writer.write({'x': 1.0}, {}, 30)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # one of its own
    subprocess.run([sys.executable, "-c", program, tmp_path], start_new_session=True, env=env, check=False)
    time.sleep(1.1)
    files = run_files(tmp_path)
    assert len(files) == 2 and files[0].parent == first, "both are there"
    third = part(tmp_path, (30, 40), until=20)
    assert [row[STEP] for row in rows(third)] == [10, 20, 30, 40]
    assert [file.parent for file in run_files(tmp_path)] == [third]


def test_what_the_server_has_is_not_sent_again(tmp_path: Path) -> None:
    """An online part to step 20, then an offline one to 30, resumed online: only the latter's row is taken over."""
    online = part(tmp_path, (10, 20))
    online = online.rename(online.with_name(online.name.removeprefix("offline-")))
    offline = part(tmp_path, (20, 30))
    published: list[Any] = []
    run = SimpleNamespace(
        offline=False,
        step=2,
        dir=str(tmp_path / "new" / "files"),
        _interface=SimpleNamespace(_publish=published.append),
    )
    earlier = Earlier(run, run_files(tmp_path), STEP, 30, Counter({10: 1, 30: 1}))
    history = [record for record in published if record.WhichOneof("record_type") == "history"]
    assert [record.history.step.num for record in history] == [2]
    assert earlier.step == 3 and earlier.logged[10] == 0 and earlier.logged[20] == 1
    earlier.supersede()
    assert list(offline.glob("*.wandb")), "the new part has no file yet"
    new = tmp_path / "new" / "run-name.wandb"
    new.write_bytes(next(offline.glob("*.wandb")).read_bytes())
    assert len(list(rows_of(new, STEP))) == 2
    earlier.logged_one()
    assert not list(offline.glob("*.wandb")) and list(online.glob("*.wandb"))


def test_an_interior_that_is_not_as_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is superseded, a warning says where the rows are, and logging goes on."""
    first = part(tmp_path, (10,))

    def fail(*args: Any) -> None:
        raise AttributeError("no interface")

    monkeypatch.setattr(wandb_writer, "Earlier", fail)
    with pytest.warns(UserWarning, match=rf"lacks what it had logged before \(no interface\).*{first.name}"):
        second = part(tmp_path, (20,), until=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [row[STEP] for row in rows(second)] == [20]
    assert list(first.glob("*.wandb"))
