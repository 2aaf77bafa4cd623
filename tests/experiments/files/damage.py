"""Generated damage: of bytes, of the members of zips, of lines; each with words that say what was done."""

from __future__ import annotations

import functools
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

BOMB = 700 << 20
Files = Iterator[tuple[str, bytes]]
"""Damaged files, each with what was done to it."""


def of_bytes(content: bytes, draw: random.Random, count: int) -> Files:
    """Flipped bits, cuts, appended and inserted bytes, stretches of zeros."""
    size = len(content)
    yield "empty", b""
    for _ in range(count):
        at, bit = draw.randrange(size), draw.randrange(8)
        yield (
            f"bit {bit} of byte {at} flipped",
            content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :],
        )
    for _ in range(count // 2):
        at, more = draw.randrange(size), draw.randbytes(draw.randrange(1, 200))
        yield f"cut at byte {at}", content[:at]
        yield f"{len(more)} bytes appended", content + more
        yield f"{len(more)} bytes inserted at {at}", content[:at] + more + content[at:]
        yield (
            f"{len(more)} zeros at {at}",
            (content[:at] + bytes(len(more)) + content[at + len(more) :])[:size],
        )
    yield "the file twice", content + content


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def of_members(content: bytes, other: bytes, foreign: list[bytes]) -> Files:
    """Members renamed, swapped, missing, empty, twice, compressed, of another file, with sizes that are not true."""
    method = zipfile.ZipFile(io.BytesIO(content)).infolist()[0].compress_type
    members, others = members_of(content), members_of(other)
    names = list(members)
    for name in names:
        rest = [(n, members[n]) for n in names if n != name]
        yield f"{name} missing", packed(rest, method)
        yield f"{name} renamed", packed([*rest, (f"{name}x", members[name])], method)
        yield f"{name} empty", packed([*rest, (name, b"")], method)
        yield f"{name} cut", packed([*rest, (name, members[name][:-1])], method)
        yield f"{name} longer", packed([*rest, (name, members[name] + b"\0")], method)
        if name in others and others[name] != members[name]:
            yield f"{name} of another file", packed([*rest, (name, others[name])], method)
        for second in names:
            if second > name and members[second] != members[name]:
                swapped = {**members, name: members[second], second: members[name]}
                yield f"{name} and {second} swapped", packed(list(swapped.items()), method)
    for name in (names[0], names[-1], "more"):
        yield f"{BOMB:,} zeros as {name}", bomb({n: members[n] for n in names if n != name}, name)
    yield "many members", packed([*members.items(), *((f"{i}", b"") for i in range(30_000))], method)
    for size in (2**31, 2**32 - 2):
        yield f"sizes of {size:,}", with_sizes(content, size)
    yield from ((f"foreign file {i}", file) for i, file in enumerate(foreign))


@functools.cache
def _zeros() -> tuple[bytes, int]:
    """`BOMB` zeros as deflate writes them, and their checksum."""
    packer, part = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(1 << 20)
    piece = packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda total, _: zlib.crc32(part, total), range(BOMB >> 20), 0)
    return piece * (BOMB >> 20) + packer.flush(), checksum


def bomb(members: dict[str, bytes], name: str) -> bytes:
    """A small zip with a member of `BOMB` zeros."""
    file, (stream, checksum) = io.BytesIO(), _zeros()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in members.items():
            archive.writestr(other, content)
        info = zipfile.ZipInfo(name)
        info.compress_type, info.CRC = zipfile.ZIP_DEFLATED, checksum
        info.file_size, info.compress_size, info.header_offset = BOMB, len(stream), file.tell()
        file.write(info.FileHeader(False) + stream)
        archive.filelist.append(info)
        archive.start_dir, archive._didModify = file.tell(), True
    return file.getvalue()


def with_sizes(content: bytes, size: int) -> bytes:
    """A zip whose directory says that every member has so many bytes."""
    found = bytearray(content)
    start = found.find(b"PK\1\2")
    while start >= 0:
        struct.pack_into("<LL", found, start + 20, size, size)
        start = found.find(b"PK\1\2", start + 4)
    return bytes(found)


def of_lines(content: bytes, draw: random.Random, count: int, joined: bool = True) -> Files:
    """A last line that is cut, garbage between lines, lines cut and ``joined`` to the next."""
    lines = content.splitlines(keepends=True)
    for _ in range(count):
        i = draw.randrange(1, len(lines))
        cut = draw.randrange(1, len(lines[i]))
        yield f"line {i} cut at {cut}, the end of the file", b"".join(lines[:i]) + lines[i][:cut]
        if joined:
            yield f"line {i} cut at {cut}", b"".join([*lines[:i], lines[i][:cut], *lines[i + 1 :]])
        garbage = draw.randbytes(40) + b"\n"
        yield f"garbage before line {i}", b"".join([*lines[:i], garbage, *lines[i:]])
        yield f"zeros before line {i}", b"".join([*lines[:i], bytes(4096), *lines[i:]])


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in nested JSON, by what holds it and its key."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])
