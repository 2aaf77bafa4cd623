"""Reading of ``.npz`` files within limits of size: names, kinds of numbers and checksums are verified."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.quoting import said

Arrays = dict[str, npt.NDArray[Any]]
MOST_BYTES = 512 << 20
"""Bytes of all arrays of a file; recorded episodes have at most some 50 million."""
DIGEST = "digest"
"""Name under which a file has the digest of its other arrays."""


def read_arrays(path: Path, names: Collection[str]) -> Arrays:
    """Those arrays of a file that have one of the ``names``; others are not looked at.

    Raises:
        FileNotFoundError: there is no file; OSError: it cannot be read.
        ValueError: it is no ``.npz`` file, damaged, or larger than any episode.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            infos = [
                info for info in archive.infolist() if info.filename in {f"{name}.npy" for name in names}
            ]
            if len({info.filename for info in infos}) != len(infos):
                raise ValueError("it has an array twice")
            total = sum(info.file_size for info in infos)
            if total > MOST_BYTES:
                raise ValueError(f"its arrays have {total:,} bytes, expected at most {MOST_BYTES:,}")
            found = {info.filename.removesuffix(".npy"): _array(archive, info) for info in infos}
    except (
        *(
            EOFError,
            KeyError,
            TypeError,
            AttributeError,
            RuntimeError,
            SyntaxError,
            MemoryError,
            OverflowError,
        ),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError),
    ) as error:
        raise ValueError(said(error, 300)) from error
    given = found.pop(DIGEST, None)
    if given is not None and str(given) != digest(found):
        raise ValueError("its arrays are not those that were saved together")
    return found


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of arrays, with their names, types and shapes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """One array, whose header is checked before memory is taken for it."""
    content = io.BytesIO(archive.read(info))  # which verifies its checksum
    version = np.lib.format.read_magic(content)
    if version != (1, 0):
        raise ValueError(f"{info.filename} has version {version}, expected (1, 0)")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    room = info.file_size - content.tell()
    if dtype.hasobject or dtype.itemsize * math.prod(shape) != room or min(shape, default=0) < 0:
        raise ValueError(f"{info.filename} should be {dtype} of shape {shape}, which {room:,} bytes are not")
    content.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array
