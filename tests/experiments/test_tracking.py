from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expirespan.agents import Histogram
from expirespan.experiments.config import Config
from expirespan.experiments.log_files import CSVWriter, read_csv
from expirespan.experiments.tracking import WandbWriter, read_offline
from expirespan.experiments.train import train


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


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
    files = run.folder.glob("wandb/offline-run-*/files")
    assert (next(files) / json.loads(pictures[0]["eval/spans/path"])).stat().st_size > 1000
    logged = {row["time/total_timesteps"] for row in rows}
    assert logged == {row["time/total_timesteps"] for row in read_csv(run.progress)}

    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    histogram = events.Histograms("expire/layer1/spans")[-1].histogram_value
    assert histogram.num == 8 * 16
    assert sum(histogram.bucket) == 8 * 16
    assert events.Images("eval/spans")
    assert [event.step for event in events.Scalars("eval/success_rate")] == [512, 1024]


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


def test_no_wandb_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no W&B run"):
        read_offline(tmp_path)


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
        {"a": "2.0", "time/total_timesteps": "20", "text": 'x, "y"\nz'},
    ]
    assert read_csv(path) == rows
    writer = CSVWriter(path, until=15)
    assert read_csv(path) == rows[:1]
    writer.write({"b": 3, "a": 4}, {}, 16)
    assert read_csv(path)[1] == {"a": "4", "time/total_timesteps": "16", "text": "", "b": "3"}
