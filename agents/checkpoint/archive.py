"""Checkpoint file: a zip of JSON (``data``) and safetensors. Reading one never unpickles.

``policy.safetensors`` has the policy's weights under their names in ``state_dict``, ``state.safetensors`` all other
tensors and arrays; in ``data`` stand their names where the values belong (`codec.py`). Tensors that share
memory are written once.
"""

from __future__ import annotations

import inspect
import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import safetensors.torch
import stable_baselines3
import torch as th
from stable_baselines3.common.utils import get_system_info

from expirespan.agents.base.contrib import check_file
from expirespan.agents.checkpoint.codec import Decoder, Encoder, UnstorableError
from expirespan.agents.checkpoint.files import Source, named
from expirespan.agents.checkpoint.migration import migrated

FORMAT = 2
"""Raised when files change in a way that older code cannot read; `migration.py` brings older files up to it."""

WEIGHTS, OPTIMIZER = "weights.policy.", "weights.policy.optimizer."
"""What the names of the policy's tensors begin with, and those of its optimizer, which lie elsewhere."""

AGAIN = "load an earlier checkpoint, or copy the file again"


@dataclass
class Content:
    """What a file holds. ``sections``: JSON by name, of which `decode` makes values; ``left_out``: what `write` could
    not store, in words; ``system``: of the machine that saved."""

    sections: dict[str, Any]
    left_out: dict[str, str]
    tensors: dict[str, th.Tensor]
    system: str

    def decode(self, section: str, given: Mapping[str, Any] | None = None) -> Any:
        """A section's values; those ``given`` by name, or classes by ``module:name``, replace those in the file.

        Raises:
            ValueError: it holds something that may not be loaded.
        """
        stored = self.sections.get(section)
        if not isinstance(stored, dict) or ":" in stored:
            raise ValueError(f"its {section} are missing")
        decoder, given = Decoder(self.tensors, given), given or {}
        own = {name: decoder(value, name) for name, value in stored.items() if name not in given}
        taken = {name: given[name] for name in (*stored, *self.left_out) if name in given}
        return own | taken

    def require(self, names: Iterable[str], given: Iterable[str]) -> None:
        """Raise ValueError if one of ``names`` could not be stored and is not ``given``."""
        needed, given = set(names), set(given)
        missing = [name for name in self.left_out if name in needed - given]
        if missing:
            listed = "; ".join(self.left_out[name] for name in missing)
            example = ", ".join(f"{name!r}: ..." for name in missing)
            raise ValueError(
                f"it was saved without what cannot be stored as data ({listed}); pass the same again with "
                f"custom_objects={{{example}}}"
            )


def write(
    file: BinaryIO | io.BufferedIOBase, sections: Mapping[str, Mapping[str, Any]], stacklevel: int
) -> None:
    """Write sections of values; warn of those that have no form as data and are left out."""
    encoder = Encoder()
    left_out: dict[str, str] = {}
    encoded: dict[str, dict[str, Any]] = {}
    for section, values in sections.items():
        encoded[section] = {}
        for name, value in values.items():
            try:
                encoded[section][name] = encoder(value, f"{section}.{name}")
            except UnstorableError as error:
                left_out[name] = str(error).removeprefix(f"{section}.")
    if left_out:
        again = ", ".join(f"{name!r}: ..." for name in left_out)
        warnings.warn(
            f"saved without {'; '.join(left_out.values())}: only data can be stored, no code. What the agent needs "
            f"of it must be passed again to load: custom_objects={{{again}}}",
            stacklevel=stacklevel,
        )
    data = {"format": FORMAT, "left_out": left_out, **encoded}
    weights, others = {}, {}
    for name, tensor in encoder.tensors.items():
        if name.startswith(WEIGHTS) and not name.startswith(OPTIMIZER):
            weights[name.removeprefix(WEIGHTS)] = tensor
        else:
            others[name] = tensor
    with zipfile.ZipFile(file, mode="w") as archive:
        archive.writestr("data", json.dumps(data, indent=1, allow_nan=False))
        archive.writestr("policy.safetensors", safetensors.torch.save(weights))
        archive.writestr("state.safetensors", safetensors.torch.save(others))
        archive.writestr("_stable_baselines3_version", stable_baselines3.__version__)
        archive.writestr("system_info.txt", get_system_info(print_info=False)[1])


def read(source: Source, what: str = "agent") -> Content:
    """Read a file, checking every byte of it; ``what`` it should hold, for messages.

    Raises:
        ValueError: it is no such file, damaged, of a later format, or carries a pickle.
    """
    start = source.tell() if isinstance(source, io.BufferedIOBase) else 0
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
            if damaged is None:
                _check_members(source, names, archive.read("data") if "data" in names else b"", what)
                return _content(archive)
    except (OSError, _RefusedError):
        raise
    except Exception as error:  # zipfile, zlib, json and safetensors each have their own
        raise ValueError(
            f"{named(source)} is no saved {what}, or its end is missing: it wasn't a zip-file as save() writes it, "
            f"and reading it says: {' '.join(str(error).split())}; {AGAIN}"
        ) from error
    finally:
        if isinstance(source, io.BufferedIOBase):
            source.seek(start)
    raise ValueError(f"{named(source)} is damaged: the checksum of {damaged!r} inside is wrong; {AGAIN}")


class _RefusedError(ValueError):
    """A file that is whole, and yet not to be read."""


def carries_pickle(source: Source) -> bool:
    """Whether a file is a zip that carries a pickle; False for what is no zip at all."""
    start = source.tell() if isinstance(source, io.BufferedIOBase) else 0
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            return _pickled(names, archive.read("data") if "data" in names else b"")
    except zipfile.BadZipFile:
        return False
    finally:
        if isinstance(source, io.BufferedIOBase):
            source.seek(start)


def content_of(source: Source, algorithm: str, trust_pickle: bool) -> Content | None:
    """What `read` reads, or None for a file that carries a pickle and is trusted.

    Raises:
        ContribNameError: it holds an agent of sb3-contrib, which ``algorithm`` cannot go on with.
    """
    if not carries_pickle(source):
        return read(source)
    start = source.tell() if isinstance(source, io.BufferedIOBase) else 0
    with zipfile.ZipFile(source) as archive:
        data = archive.read("data") if "data" in archive.namelist() else b"{}"
    if isinstance(source, io.BufferedIOBase):
        source.seek(start)
    try:
        stored = json.loads(data)
    except ValueError:
        stored = {}  # what is wrong with it `read` says
    if isinstance(stored, dict):
        check_file(algorithm, named(source), stored)
    return None if trust_pickle else read(source)


def _pickled(names: Iterable[str], data: bytes) -> bool:
    """Whether members with these names, or ``data``, are pickles, as in SB3's format."""
    return any(name.endswith((".pth", ".pkl", ".pickle")) for name in names) or b'":serialized:"' in data


def _check_members(source: Source, names: list[str], data: bytes, what: str) -> None:
    """Raise _RefusedError for a zip file of another kind."""
    if _pickled(names, data):
        raise _RefusedError(
            f"{named(source)} carries a pickle, as files of Stable-Baselines3 and PyTorch do, and unpickling runs "
            "whatever code the file holds. It is not loaded; if you trust whoever made it, pass "
            "trust_pickle=True, and save it again in the safe format"
        )
    missing = [part for part in ("data", "policy.safetensors", "state.safetensors") if part not in names]
    if missing:
        raise _RefusedError(
            f"{named(source)} is a zip file but no saved {what}: it lacks {', '.join(missing)} and holds "
            f"{', '.join(names[:5]) or 'nothing'}; expected what save() of this package writes"
        )
    found = json.loads(data).get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise _RefusedError(
            f"{named(source)} has format version {found!r}, and this version of expirespan reads up to {FORMAT}: "
            "update expirespan, or save the file again with the version that wrote it"
        )


def _content(archive: zipfile.ZipFile) -> Content:
    data = migrated(json.loads(archive.read("data")))
    tensors = safetensors.torch.load(archive.read("state.safetensors"))
    for name, tensor in safetensors.torch.load(archive.read("policy.safetensors")).items():
        tensors[WEIGHTS + name] = tensor
    system = archive.read("system_info.txt").decode() if "system_info.txt" in archive.namelist() else ""
    return Content(data, dict(data.get("left_out", {})), tensors, system)


def arguments(cls: type[Any]) -> set[str]:
    """Names of a constructor's arguments, those of the bases included."""
    makers = (vars(base).get("__init__") for base in cls.__mro__)
    return {
        name for maker in makers if inspect.isfunction(maker) for name in inspect.signature(maker).parameters
    }
