"""Reader of W&B's local files: which rows were logged, without W&B's network.

A resumed run logs nothing twice: what an earlier part of it has logged is read from here.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def logged_rows(folder: Path, key: str) -> Counter[int]:
    """How many rows W&B runs under ``folder`` have logged with each value of ``key``, a step; none if unreadable."""
    found: Counter[int] = Counter()
    for file in run_files(folder):
        try:
            found.update(int(row[key]) for row in read_rows(file)[0] if key in row)
        except Exception:  # protobuf has its own; what cannot be read was not logged
            continue
    return found


def run_files(folder: Path) -> list[Path]:
    """Of the runs under a folder, in the order in which they began."""
    found = folder.glob("wandb/*run-*/*.wandb")
    return sorted(found, key=lambda file: file.parent.name.removeprefix("offline-"))


def read_rows(file: Path) -> tuple[list[dict[str, str]], bool]:
    """What was logged, a dict per call, and whether the run has ended."""
    from wandb.proto import wandb_internal_pb2

    rows, ended = [], False
    for data in records(file.read_bytes()):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        ended = ended or kind == "exit"
        if kind == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): item.value_json for item in items})
    return rows, ended


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
