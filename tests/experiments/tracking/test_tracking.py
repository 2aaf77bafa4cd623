from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from stable_baselines3.common.logger import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from expirespan.agents import Histogram
from expirespan.experiments.settings import Config
from expirespan.experiments.settings.config_file import to_yaml
from expirespan.experiments.tracking.log_files import CSVWriter, read_csv
from expirespan.experiments.tracking.log_values import Page, Table
from expirespan.experiments.tracking.wandb_files import read_rows, records, run_files
from expirespan.experiments.tracking.wandb_writer import WandbWriter
from expirespan.experiments.training.train import train
from expirespan.experiments.viewer.episode_media import COLUMNS


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def read_offline(folder: Path, wait: float = 0.0) -> list[dict[str, str]]:
    """What the newest W&B run under ``folder`` logged; its last block is written shortly after the run has ended."""
    deadline = time.monotonic() + wait
    while True:
        rows, ended = read_rows(run_files(folder)[-1])
        if ended or time.monotonic() >= deadline:
            return rows
        time.sleep(0.05)


@pytest.mark.slow
def test_spans_and_heat_map_reach_wandb_and_tensorboard(tiny: Config) -> None:
    run = train(replace(tiny, wandb="auto", tensorboard=True)).run
    rows = read_offline(run.folder, wait=60)
    counts = [
        json.loads(row["expire/layer1/spans/values"]) for row in rows if "expire/layer1/spans/values" in row
    ]
    assert counts
    assert all(sum(row) == 8 * 16 for row in counts), "a span for every step of a rollout"
    pictures = [row for row in rows if row.get("eval/spans/_type") == '"image-file"']
    assert [json.loads(row["time/total_timesteps"]) for row in pictures] == [512, 1024]
    files = next(run.folder.glob("wandb/offline-run-*/files"))
    assert (files / json.loads(pictures[0]["eval/spans/path"])).stat().st_size > 1000
    told = [row for row in rows if "expire/layer0/alive" in row]
    for name in ("span_mean", "span_max", "span_at_min", "span_at_max", "alive", "freed"):
        assert all(f"expire/layer{i}/{name}" in row for row in told for i in (0, 1)), name
    assert all(0 <= json.loads(row["expire/layer0/freed"]) < 1 for row in told)

    longest = [row for row in rows if "eval/longest_kept/nrows" in row]
    assert [json.loads(row["time/total_timesteps"]) for row in longest] == [512, 1024]
    staged = [file.read_bytes() for file in run.folder.glob("wandb/artifacts/staging/*")]
    table = next(json.loads(data) for data in staged if data.startswith(b"{"))
    assert table["columns"] == list(COLUMNS)
    assert table["data"][0][0]["_type"] == "image-file"
    assert sum(data.startswith(b"\x89PNG") for data in staged) >= json.loads(
        longest[0]["eval/longest_kept/nrows"]
    )
    with PIL.Image.open(files / json.loads(longest[0]["eval/film/path"])) as film:
        assert film.format == "GIF" and film.n_frames > 1  # type: ignore[attr-defined]
    page = (files / json.loads(longest[0]["eval/viewer/path"])).read_text(encoding="utf-8")
    assert 'id="episodes"' in page and "after 512 steps" in page
    logged = {row["time/total_timesteps"] for row in rows}
    assert logged == {row["time/total_timesteps"] for row in read_csv(run.progress)}

    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    histogram = events.Histograms("expire/layer1/spans")[-1].histogram_value
    assert histogram.num == 8 * 16
    assert sum(histogram.bucket) == 8 * 16
    assert events.Images("eval/spans")
    assert [event.step for event in events.Scalars("eval/success_rate")] == [512, 1024]
    assert [event.step for event in events.Scalars("eval/retention_recall")] == [512, 1024]
    assert not {"eval/film", "eval/longest_kept", "eval/viewer"} & set(read_csv(run.progress)[0])


def test_everything_is_logged_against_environment_steps(tmp_path: Path) -> None:
    writer = WandbWriter(tmp_path, "axis", {}, "offline")
    writer.write({"expire/layer0/alive": 3.0}, {}, 5)
    writer.close()
    read_offline(tmp_path, wait=60)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found = set()
    for data in records(file.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "metric":
            found.add((record.metric.name or record.metric.glob_name, record.metric.step_metric))
    assert ("*", "time/total_timesteps") in found


def test_a_page_is_taken_as_it_is(tmp_path: Path) -> None:
    writer = WandbWriter(tmp_path, "page", {}, "offline")
    writer.write(
        {"eval/page": Page("<p>\u00e9 & all</p>"), "eval/table": Table(("t", "x"), [(1, None)])}, {}, 5
    )
    writer.close()
    (row,) = read_offline(tmp_path, wait=60)
    files = next(tmp_path.glob("wandb/offline-run-*/files"))
    assert (files / json.loads(row["eval/page/path"])).read_text("utf-8") == "<p>\u00e9 & all</p>"
    table = json.loads((files / json.loads(row["eval/table/path"])).read_text())
    assert table == {"columns": ["t", "x"], "data": [[1, None]]}


def test_long_records_are_read_across_blocks(tmp_path: Path) -> None:
    writer = WandbWriter(tmp_path, "long", {}, "offline")
    for step in range(100):
        writer.write({f"key{i}": step / 7 for i in range(100)}, {}, step)
    writer.close()
    rows = read_offline(tmp_path, wait=60)
    assert [int(row["time/total_timesteps"]) for row in rows] == list(range(100))
    assert json.loads(rows[99]["key99"]) == 99 / 7


def test_values_kept_from_wandb(tmp_path: Path) -> None:
    writer = WandbWriter(tmp_path, "kept", {}, "offline")
    writer.write({"a": 1, "b": 2}, {"b": ("wandb",)}, 5)
    writer.close()
    writer.write({"a": 1}, {}, 6)
    (row,) = read_offline(tmp_path, wait=60)
    assert "a" in row and "b" not in row


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
@pytest.mark.usefixtures("no_drawing")
def test_training_survives_wandb(broken: str, tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no more disk")

    if broken == "init":
        monkeypatch.setattr(wandb, "init", fail)
    else:
        monkeypatch.setattr(wandb.Run, broken, fail)
    with pytest.warns(UserWarning, match="no more disk"):
        result = train(replace(tiny, wandb="offline"))
    assert result.steps == 1024
    monkeypatch.undo()
    if wandb.run is not None:
        wandb.run.finish()


def test_a_server_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    init = wandb.init

    def unreachable(*args: Any, mode: str, **kwargs: Any) -> Any:
        if mode == "online":
            raise wandb.errors.CommError("connection refused")
        return init(*args, mode=mode, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(wandb, "init", unreachable)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(UserWarning, match="connection refused.*wandb sync"):
        writer = WandbWriter(tmp_path, "away", {}, "auto")
    writer.write({"a": 1}, {}, 5)
    writer.close()
    assert [row["a"] for row in read_offline(tmp_path, wait=60)] == ["1"]


@pytest.mark.slow
def test_training_survives_a_full_disk_and_the_death_of_the_service(tiny: Config, tmp_path: Path) -> None:
    """W&B's service writes its files, in a process of its own: it may write nothing more, then it is killed."""
    settings = tmp_path / "tiny.yaml"
    settings.write_text(to_yaml(replace(tiny, wandb="offline")))
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    script = Path(__file__).parent / "wandb_in_trouble.py"
    output = tmp_path / "output"
    with output.open("w") as file:  # no pipe: what W&B's service leaves behind when killed would keep it open
        done = subprocess.run(
            [sys.executable, script, settings], stdout=file, stderr=file, timeout=300, env=env, check=False
        )
    assert done.returncode == 0, output.read_text()
    full, killed = json.loads(next(line for line in output.read_text().splitlines() if line.startswith("[{")))
    for found in (full, killed):
        assert found["steps"] == 1024
        evaluated = [
            row["time/total_timesteps"]
            for row in read_csv(Path(found["folder"], "progress.csv"))
            if row["eval/mean_return"]
        ]
        assert evaluated == ["512", "1024"]
    assert not any("eval/mean_return" in row for row in read_offline(Path(full["folder"]))), "it was full"
    assert "W&B failed and is off" in killed["warnings"]


def test_csv_copes_with_keys_that_come_later_and_goes_on_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    writer = CSVWriter(path)
    picture = Image(np.zeros((2, 2, 3), np.uint8), "HWC")
    histogram = Histogram(np.ones(2), np.arange(3))
    writer.write(
        {"a": 1, "picture": picture, "spans": histogram}, {"picture": ("csv",), "spans": ("csv",)}, 10
    )
    writer.write({"a": np.float32(2), "text": 'x, "y"\nz'}, {}, 20)
    writer.close()
    rows = [
        {"a": "1", "time/total_timesteps": "10", "text": ""},
        {"a": "2.0", "time/total_timesteps": "20", "text": 'x, "y" z'},
    ]
    assert read_csv(path) == rows
    writer = CSVWriter(path, until=15)
    assert read_csv(path) == rows[:1]
    writer.write({"b": 3, "a": 4}, {}, 16)
    assert read_csv(path)[1] == {"a": "4", "time/total_timesteps": "16", "text": "", "b": "3"}


def test_the_log_of_a_run_that_ended_before_its_first_row_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for empty in (b"\n", b"\r\n"):
        (tmp_path / "progress.csv").write_bytes(empty)
        assert list(read_csv(tmp_path / "progress.csv")) == []
    CSVWriter(tmp_path / "begun.csv").close()
    CSVWriter(tmp_path / "begun.csv", until=0).close()
    assert list(read_csv(tmp_path / "begun.csv")) == [] and not list(tmp_path.glob("damaged*"))
    (tmp_path / "progress.csv").write_bytes(b"\n1,2\n")
    assert list(read_csv(tmp_path / "progress.csv")) == []
    assert capsys.readouterr().err.count("does not name the columns") == 1, "that is damage, and said"
