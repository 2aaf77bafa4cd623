"""Reader of W&B's local files: which rows were logged, and what belongs to each, without W&B's network."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

BESIDE = ("files", "artifact", "summary")
"""Records that come with a row: pictures, tables, and the last value of each key."""


class Row(NamedTuple):
    """What was logged at a step: the row itself, the last of its ``records``, and what came with it."""

    step: int
    records: tuple[Any, ...]
    file: Path


def run_files(folder: Path) -> list[Path]:
    """Of the runs under a folder, in the order in which they began; not those that are superseded."""
    found = folder.glob("wandb/*run-*/*.wandb")
    return sorted(found, key=lambda file: file.parent.name.removeprefix("offline-"))


def rows_of(file: Path, key: str) -> Iterator[Row]:
    """The rows of a file that have a ``key``, a step, up to where it ends or is damaged."""
    beside: list[Any] = []
    try:
        for record in _read(file):
            kind = record.WhichOneof("record_type")
            if kind in BESIDE:
                beside.append(record)
            elif kind == "history":
                step = {_name(item): item.value_json for item in record.history.item}.get(key)
                if step is not None:
                    yield Row(int(step), (*beside, record), file)
                beside = []
    except Exception:  # protobuf has its own; what cannot be read was not logged
        return


def read_rows(file: Path) -> tuple[list[dict[str, str]], bool]:
    """What was logged, a dict per call, and whether the run has ended."""
    rows, ended = [], False
    for record in _read(file):
        kind = record.WhichOneof("record_type")
        ended = ended or kind == "exit"
        if kind == "history":
            rows.append({_name(item): item.value_json for item in record.history.item})
    return rows, ended


def _name(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def _read(file: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    for data in records(file.read_bytes()):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(data)
        yield record


def records(data: bytes) -> Iterator[bytes]:
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
