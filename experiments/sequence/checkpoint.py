"""Checkpoints of sequence runs: the archive that agents are saved in, and files of version 0.1, saved by PyTorch."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from expirespan.agents.checkpoint.archive import read, write
from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.settings.errors import UserError
from expirespan.memory import Memory, MemoryState
from expirespan.quoting import said, shortened, shown

PARTS = ("config", "stream", "generators", "counters", "state", "model", "optimizer")
"""What a checkpoint holds: settings, position in the data, random numbers, updates and steps, memory, weights."""
WHAT = "model of `expirespan sequence`"
MOST_PICKLED = 16 << 20
"""Bytes of the structure of a 0.1 file; its tensors lie beside it."""


def save(content: dict[str, Any], path: Path) -> None:
    """Write the `PARTS`, atomically."""
    position = {name: content[name] for name in PARTS[:5]}
    weights = {"policy": content["model"], "policy.optimizer": content["optimizer"]}
    with atomically(path) as temporary, temporary.open("wb") as file:
        write(file, {"sequence": position, "weights": weights}, stacklevel=2)


def load(path: Path, memory: Memory[Any]) -> dict[str, Any]:
    """The `PARTS` of a checkpoint, on the CPU. ``memory``: whose state it is.

    Raises:
        UserError: it is damaged, or no checkpoint of a sequence task.
    """
    try:
        content = _load_0_1(path, memory) if _is_0_1(path) else _load(path)
        _check(content)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"cannot load the checkpoint {path}: there is none") from None
    except Exception as error:  # zipfile, json, safetensors and torch each have their own
        raise UserError(f"cannot load the checkpoint {path}: {said(error)}") from error
    return content


def _load(path: Path) -> dict[str, Any]:
    content = read(path, WHAT)
    if "sequence" not in content.sections:
        held = ", ".join(sorted(content.sections))
        raise ValueError(
            f"it is no {WHAT} but holds {shortened(held, 100)}; an agent is for `expirespan evaluate`"
        )
    weights = content.decode("weights")
    held_by_name: dict[str, Any] = content.decode("sequence")
    return held_by_name | {"model": weights["policy"], "optimizer": weights["policy.optimizer"]}


def _check(content: dict[str, Any]) -> None:
    """Raise ValueError unless the parts are there, of their kinds, with plausible counts and finite weights."""
    missing = [name for name in PARTS if name not in content]
    if missing:
        raise ValueError(f"it has no {missing[0]}; expected one of a sequence task")
    kinds = {"config": dict, "stream": dict, "state": MemoryState, "model": dict, "optimizer": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(content[name], kind)]
    counters, generators = content["counters"], content["generators"]
    if not (isinstance(counters, list) and [type(n) for n in counters] == [int, int] and min(counters) >= 0):
        wrong.append("counters")
    if not (
        isinstance(generators, list) and [getattr(g, "dtype", 0) for g in generators] == [torch.uint8] * 2
    ):
        wrong.append("generators")
    if wrong:
        raise ValueError(f"its {' and '.join(wrong)} are none")
    for name, tensor in content["model"].items():
        if not isinstance(tensor, torch.Tensor) or not bool(tensor.isfinite().all()):
            raise ValueError(f"its weights {shown(name)} are no finite numbers")


def _is_0_1(path: Path) -> bool:
    """Whether a file is a zip of one folder, with a pickle in it, as torch.save writes."""
    try:
        with path.open("rb") as file:
            return _pickled(file) is not None
    except (zipfile.BadZipFile, ValueError):
        return False


def _pickled(file: BinaryIO) -> str | None:
    from expirespan.agents.checkpoint.members import names_of

    names = names_of(file)
    found = [name for name in names if name.endswith("/data.pkl")]
    return found[0] if len(found) == 1 and "data" not in names else None


def _load_0_1(path: Path, memory: Memory[Any]) -> dict[str, Any]:
    """What version 0.1 saved, read by PyTorch's unpickler for tensors, which runs no code."""
    with path.open("rb") as file:
        pickled, size = _pickled(file), path.stat().st_size
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ValueError("its members are compressed, and torch.save stores them as they are")
            total = sum(info.file_size for info in infos)
            if total > size or any(i.filename == pickled and i.file_size > MOST_PICKLED for i in infos):
                raise ValueError(f"its members say that they have {total:,} bytes, and the file has {size:,}")
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged!r} inside is wrong; load an earlier checkpoint")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or (missing := [name for name in PARTS if name not in content]):
        raise ValueError(f"it has no {missing[0] if isinstance(content, dict) else PARTS[0]}; expected one of a "
                         "sequence task")  # fmt: skip
    state = {name: tensor for name, tensor in content["state"].items() if name != "softness"}
    kind = type(memory.initial_state(1))
    return content | {
        "config": json.loads(content["config"]),
        "stream": json.loads(content["stream"]),
        "state": kind.from_state_dict(state),
    }
