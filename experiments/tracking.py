"""Weights & Biases: the only file that knows of it. Whatever goes wrong there, training goes on."""

from __future__ import annotations

import netrc
import os
import struct
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np
from stable_baselines3.common.logger import Image, KVWriter

from expirespan.agents import Histogram
from expirespan.experiments.log_files import STEP
from expirespan.experiments.log_values import Movie, Page, Table

Mode = Literal["auto", "offline", "off"]


class WandbWriter(KVWriter):
    """Sends what is logged to W&B: scalars, `Histogram`, SB3's `Image`, and what `log_values.py` defines.

    Offline unless the user is logged in (or ``WANDB_MODE`` says otherwise), or if W&B cannot be reached:
    ``folder/wandb/offline-run-*``, which ``wandb sync`` uploads. A killed run loses its last block, so W&B is
    not the record of truth.
    """

    def __init__(self, folder: Path, name: str, config: dict[str, Any], mode: Mode = "auto") -> None:
        self.run: Any = None
        self._data = folder / "wandb"
        if mode == "off":
            return
        chosen = os.environ.get("WANDB_MODE") or ("online" if mode == "auto" and _logged_in() else "offline")
        try:
            try:
                self.run = _start(folder, name, config, chosen)
            except Exception as error:
                if chosen != "online":
                    raise
                warnings.warn(f"no W&B ({error}): offline from here on, see `wandb sync`", stacklevel=2)
                self.run = _start(folder, name, config, "offline")
            self.run.define_metric(STEP)
            self.run.define_metric("*", step_metric=STEP)
        except Exception as error:
            self._give_up(error)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Log all values under the step."""
        if self.run is None:
            return
        try:
            with _data_in(self._data):
                shown = {
                    k: _wandb(v) for k, v in key_values.items() if "wandb" not in (key_excluded.get(k) or ())
                }
                self.run.log(shown | {STEP: step})
        except Exception as error:
            self._give_up(error)

    def close(self, exit_code: int = 0) -> None:
        """Finish the run; further calls do nothing."""
        run, self.run = self.run, None
        if run is not None:
            try:
                run.finish(exit_code=exit_code)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.run = None
        warnings.warn(
            f"W&B failed and is off from here on; everything is in progress.csv too ({error})", stacklevel=3
        )


def _start(folder: Path, name: str, config: dict[str, Any], mode: str) -> Any:
    import wandb

    settings = wandb.Settings(silent=True, console="off", init_timeout=30)
    if hasattr(settings, "finish_timeout"):  # not in older versions
        settings.finish_timeout = 120  # a network that is gone must not keep a finished run from ending
    return wandb.init(
        project="expirespan",
        dir=str(folder),
        name=name,
        id=name,
        resume="allow" if mode == "online" else None,
        config=config,
        mode=mode,  # type: ignore[arg-type]
        settings=settings,
    )


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """Keep pictures of tables in the run's folder, where ``wandb sync`` needs them, rather than in the user's home."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def _wandb(value: Any) -> Any:
    import wandb

    match value:
        case Histogram():
            return wandb.Histogram(np_histogram=(value.counts, value.edges))
        case Image():
            return wandb.Image(value.image)
        case Movie():
            return wandb.Video(BytesIO(value.gif()), format="gif")
        case Page():
            return wandb.Html(StringIO(value.html), inject=False)  # a text might be taken for a path
        case Table():
            rows = [
                [wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row]
                for row in value.rows
            ]
            return wandb.Table(columns=list(value.columns), data=rows)
        case _:
            return value


def _logged_in() -> bool:
    """Whether W&B would find a key, without asking for one or going to the network."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def read_offline(folder: Path, wait: float = 0.0) -> list[dict[str, str]]:
    """What an offline run under ``folder`` logged: a dict per call, with values as JSON.

    W&B writes the last block of its file shortly after the run has ended: wait up to so many seconds for it.
    Of a run that was killed, what came before that block is read.

    Raises:
        ValueError: there is no offline run, or its file is damaged.
    """
    from wandb.proto import wandb_internal_pb2

    files = sorted(
        folder.glob("wandb/*run-*/*.wandb"), key=lambda file: file.parent.name.removeprefix("offline-")
    )
    if not files:
        raise ValueError(f"{folder} holds no W&B run")
    deadline = time.monotonic() + wait
    while True:
        rows, ended = [], False
        for data in _records(files[-1].read_bytes()):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            ended = ended or kind == "exit"
            if kind == "history":
                items = record.history.item
                rows.append({item.key or "/".join(item.nested_key): item.value_json for item in items})
        if ended or time.monotonic() >= deadline:
            return rows
        time.sleep(0.05)


def _records(data: bytes) -> Iterator[bytes]:
    """Records of LevelDB's log format: blocks of 32 KiB with pieces of (checksum, length, type, data)."""
    if data[:4] != b":W&B":
        raise ValueError("not a W&B file")
    position, block, parts = 7, 32768, b""
    while position + 7 <= len(data):
        if block - position % block < 7:  # too little room for a piece: padding
            position += block - position % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind not in (1, 2, 3, 4):  # whole, first, middle, last
            raise ValueError(f"damaged W&B file at byte {position}")
        piece = data[position + 7 : position + 7 + length]
        if len(piece) < length:  # the file ends here for now
            return
        position += 7 + length
        parts = piece if kind in (1, 2) else parts + piece
        if kind in (1, 4):
            yield parts
