"""Checkpoint file of agents, policies and sequence models: a zip of JSON (``data``) and safetensors, no pickle.

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
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import safetensors.torch
import stable_baselines3
import torch as th
from stable_baselines3.common.utils import get_system_info

from expirespan.agents.base.contrib import check_file
from expirespan.agents.checkpoint.codec import Decoder, Encoder, UnstorableError
from expirespan.agents.checkpoint.files import Source, named, opened
from expirespan.agents.checkpoint.members import (
    TENSORS,
    DamagedError,
    RefusedError,
    check_digests,
    digests,
    is_pickle,
    member,
    names_of,
    read_members,
)
from expirespan.agents.checkpoint.migration import migrated
from expirespan.agents.checkpoint.plausible import MOST_DATA, read_data
from expirespan.quoting import said, shortened, shown

FORMAT = 2
"""Raised when files change in a way that older code cannot read; `migration.py` brings older files up to it."""

WEIGHTS, OPTIMIZER = "weights.policy.", "weights.policy.optimizer."
"""What the names of the policy's tensors begin with, and those of its optimizer, which lie elsewhere."""

SERIALIZED = b'":serialized:"'
"""Stands in the data of SB3's files, which hold pickles there."""

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
    members = {
        "policy.safetensors": safetensors.torch.save(weights),
        "state.safetensors": safetensors.torch.save(others),
        "_stable_baselines3_version": stable_baselines3.__version__.encode(),
        "system_info.txt": get_system_info(print_info=False)[1].encode(),
    }
    data["digests"] = digests(members)
    with zipfile.ZipFile(file, mode="w") as archive:
        archive.writestr("data", json.dumps(data, indent=1, allow_nan=False))
        for name, content in members.items():
            archive.writestr(name, content)


def read(source: Source, what: str = "agent") -> Content:
    """Read a file, checking every byte of it; ``what`` it should hold, for messages. See docs/checkpoints.md, "Files".

    Raises:
        ValueError: it is no such file, damaged, of a later format, carries a pickle, or has weights that are NaN.
    """
    with opened(source) as file:
        try:
            return _content(_verified(file, what))
        except RefusedError as error:
            raise ValueError(f"{named(source)} is no saved {what}: {said(error)}") from error
        except DamagedError as error:
            raise ValueError(f"{named(source)} is damaged: {said(error)}; {AGAIN}") from error
        except (OSError, _ForeignError) as error:
            raise error if isinstance(error, OSError) else ValueError(f"{named(source)} {error}") from None
        except Exception as error:  # zipfile, json and safetensors each have their own
            raise ValueError(
                f"{named(source)} is no saved {what}, or its end is missing: it wasn't a zip-file as save() writes "
                f"it, and reading it says: {said(error, 300)}; {AGAIN}"
            ) from error


def damage(source: Source) -> str:
    """Why a checkpoint cannot be read; empty if it can. One of PyTorch or SB3 is taken for whole if its checksums are
    right.
    """
    try:
        if not carries_pickle(source):
            read(source, "checkpoint")
            return ""
        with opened(source) as file, zipfile.ZipFile(file) as archive:
            wrong = archive.testzip()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        return said(error)
    return (wrong and f"{named(source)} is damaged: the checksum of {wrong!r} inside is wrong") or ""


class _ForeignError(ValueError):
    """A file of another kind or version; the message continues the file's name."""


def carries_pickle(source: Source) -> bool:
    """Whether a file is a zip that carries a pickle; False for what is no zip at all."""
    with opened(source) as file:
        try:
            names = names_of(file)
            return is_pickle(names) or SERIALIZED in member(file, "data", MOST_DATA)
        except (zipfile.BadZipFile, RefusedError):
            return False


def content_of(source: Source, algorithm: str, trust_pickle: bool) -> Content | None:
    """What `read` reads, or None for a file that carries a pickle and is trusted.

    Raises:
        ContribNameError: it holds an agent of sb3-contrib, which ``algorithm`` cannot go on with.
    """
    if not carries_pickle(source):
        return read(source)
    with opened(source) as file:
        try:
            stored = read_data(member(file, "data", MOST_DATA))
        except ValueError:
            stored = {}  # what is wrong with it `read` says
    check_file(algorithm, named(source), stored)
    return None if trust_pickle else read(source)


def _verified(file: BinaryIO, what: str) -> dict[str, bytes]:
    """The members of a checkpoint that is whole and of a format known here."""
    names = names_of(file)
    if is_pickle(names) or SERIALIZED in member(file, "data", MOST_DATA):
        raise _ForeignError(
            "carries a pickle, as files of Stable-Baselines3 and PyTorch do, and unpickling runs whatever code the "
            "file holds. It is not loaded; if you trust whoever made it, pass trust_pickle=True, and save it again "
            "in the safe format"
        )
    missing = [part for part in ("data", *TENSORS) if part not in names]
    if missing:
        raise _ForeignError(
            f"is a zip file but no saved {what}: it lacks {', '.join(missing)} and holds "
            f"{shortened(', '.join(names[:5]), 200) or 'nothing'}; expected what save() of this package writes"
        )
    return read_members(file)


def _content(members: dict[str, bytes]) -> Content:
    data = read_data(members["data"])
    found = data.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= FORMAT:
        raise _ForeignError(
            f"has format version {shown(found, 40)}, and this version of expirespan reads up to {FORMAT}: "
            "update expirespan, or save the file again with the version that wrote it"
        )
    if "digests" in data:  # files saved before 0.2 have none
        check_digests(members, data.pop("digests"))
    data = migrated(data)
    left_out = data.get("left_out", {})
    if not isinstance(left_out, dict) or not all(isinstance(text, str) for text in left_out.values()):
        raise DamagedError("its list of what was left out is none")
    tensors = safetensors.torch.load(members["state.safetensors"])
    for name, tensor in safetensors.torch.load(members["policy.safetensors"]).items():
        tensors[WEIGHTS + name] = tensor
    for name, tensor in tensors.items():
        if name.startswith("weights.") and tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise DamagedError(f"{shown(name.removeprefix(WEIGHTS))} holds NaN, which no training gives")
        if name.startswith(OPTIMIZER) and tensor.element_size() > 1 and not tensor.is_floating_point():
            raise DamagedError(
                f"{shown(name.removeprefix(WEIGHTS))} holds {tensor.dtype}, expected real numbers"
            )
    return Content(data, left_out, tensors, members.get("system_info.txt", b"").decode(errors="replace"))


def arguments(cls: type[Any]) -> set[str]:
    """Names of a constructor's arguments, those of the bases included."""
    makers = (vars(base).get("__init__") for base in cls.__mro__)
    return {
        name for maker in makers if inspect.isfunction(maker) for name in inspect.signature(maker).parameters
    }
