"""Members of a checkpoint's zip, read so that a file of any content costs no more time and memory than its size.

`save` stores members as they are, each once, and ends the file with the zip's directory. Whatever differs is refused
before it is read: compressed members, which can be a thousand times larger than the file, names that occur twice,
sizes that the file cannot hold.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from expirespan.quoting import shown

TENSORS = ("policy.safetensors", "state.safetensors")
NAMES = ("data", *TENSORS, "_stable_baselines3_version", "system_info.txt")
"""Members of a checkpoint."""
MOST_MEMBERS, MOST_DIRECTORY = 20_000, 2 << 20
"""Members and bytes of a zip's directory that are looked at, to say what kind of file it is."""
_END = struct.Struct("<4s4H2LH")


class RefusedError(ValueError):
    """A file that is whole, and yet not to be read; the message says why, without the file's name."""


class DamagedError(ValueError):
    """A file that is not as it was written; the message says what differs, without the file's name."""


def names_of(file: BinaryIO) -> list[str]:
    """Names of the members, in order.

    Raises:
        zipfile.BadZipFile: it is no zip, or its end is missing.
        RefusedError: it has more members than any checkpoint.
    """
    _check_end(file)
    with zipfile.ZipFile(file) as archive:
        return archive.namelist()


def member(file: BinaryIO, name: str, most: int) -> bytes:
    """The beginning of a member, at most ``most`` bytes; nothing if there is none of that name."""
    with zipfile.ZipFile(file) as archive:
        if name not in archive.namelist():
            return b""
        try:
            with archive.open(name) as part:
                return part.read(most)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
            return b""  # `read_members` says what is wrong


def read_members(file: BinaryIO) -> dict[str, bytes]:
    """What each member holds, by name, its checksum verified.

    Raises:
        zipfile.BadZipFile: it is no zip, or a header in it is damaged.
        DamagedError: the checksum of a member is wrong, or the file holds less than its directory says.
        RefusedError: it is not as `save` writes files.
    """
    size = _check_end(file)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if unknown := sorted({name for name in names if name not in NAMES or names.count(name) > 1}):
            raise RefusedError(
                f"it holds {shown(unknown[0], 80)}, which save() does not write, or more than once; expected "
                f"{', '.join(NAMES)}"
            )
        if packed := [
            info.filename for info in infos if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1
        ]:
            raise RefusedError(
                f"its {packed[0]!r} is compressed or encrypted, and save() stores members as they are: a small file "
                "could become any size; unpack it, and pack it again with `zip -0`"
            )
        if sum(info.file_size for info in infos) > size:
            raise DamagedError(f"it should hold {sum(i.file_size for i in infos):,} bytes and has {size:,}")
        found = {}
        for info in infos:
            try:
                found[info.filename] = archive.read(info)
            except zipfile.BadZipFile as error:
                if "CRC" not in str(error):
                    raise
                raise DamagedError(f"the checksum of {info.filename!r} inside is wrong") from error
        return found


def digests(members: dict[str, bytes]) -> dict[str, str]:
    """SHA-256 of the tensors: what ties them to the data beside them."""
    return {name: hashlib.sha256(members[name]).hexdigest() for name in TENSORS}


def check_digests(members: dict[str, bytes], expected: dict[str, str]) -> None:
    """Raise DamagedError if the tensors are not those that were saved with the data."""
    found = digests(members)
    for name in TENSORS:
        if found[name] != expected.get(name):
            raise DamagedError(f"{name!r} inside is not what was saved with its data")


def is_pickle(names: Iterable[str]) -> bool:
    """Whether members with these names are pickles."""
    return any(name.endswith((".pth", ".pkl", ".pickle")) for name in names)


def _check_end(file: BinaryIO) -> int:
    """The file's size, once its last bytes are found to be the end of a directory of a plausible size."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size))
    last = file.read(_END.size)
    file.seek(0)
    if len(last) < _END.size or last[:4] != b"PK\5\6":
        raise zipfile.BadZipFile("File is not a zip file, or does not end as one")
    *_, entries, directory, _, comment = _END.unpack(last)
    if comment or entries > MOST_MEMBERS or directory > MOST_DIRECTORY:
        raise RefusedError(
            f"it is a zip of {entries:,} files, or with a comment; expected {', '.join(NAMES)}"
        )
    return size
