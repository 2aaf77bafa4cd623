"""Text as bytes in one memory-mapped file per split: enwik8 and PG-19 from local copies, or any files of your own."""

from __future__ import annotations

import errno
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.sequence.stream import Ints
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.quoting import said

SPLITS = ("train", "valid", "test")
PARTS = {"train": (0, 90), "valid": (90, 95), "test": (95, 100)}
"""First and last hundredth of each split of one file."""

ANY, MOST_TIMES = 64 << 20, 50
"""A text that was packed has at most so many bytes, or times those of its archive. English: about three times."""

LAYOUT = (
    "expected one of: a text (split 90/5/5) such as enwik8 or enwik8.zip from mattmahoney.net/dc/textdata.html; "
    "a folder with train.txt, valid.txt and test.txt; or PG-19 from github.com/google-deepmind/pg19, a folder with "
    "metadata.csv and the folders train, validation and test of .txt files"
)


class Corpus(NamedTuple):
    """One split: ``data`` (N,) uint8, and ``documents``, where in it each document begins."""

    data: NDArray[np.uint8]
    documents: Ints


def load_corpus(path: str | Path, split: str) -> Corpus:
    """The split of the text at ``path``. Archives and PG-19 are joined once, into files beside them.

    Raises:
        UserError: nothing is there, or not what is expected; says where to get it and how to lay it out.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    root = Path(path)
    if not root.exists():
        raise UserError(f"text={str(path)!r} does not exist: {LAYOUT}")
    try:
        if root.is_file():
            return _part(_unzipped(root), split)
        if (root / "metadata.csv").is_file():
            return _books(root, split)
        if (root / f"{split}.txt").is_file():
            return Corpus(_bytes(root / f"{split}.txt"), np.zeros(1, np.int64))
        whole = next((root / name for name in ("enwik8", "enwik8.zip") if (root / name).is_file()), None)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which a wrong offset gives
            raise
        raise UserError(f"text={str(path)!r} is a damaged archive ({said(error)}): {LAYOUT}") from None
    if whole is None:
        raise UserError(f"text={str(path)!r} holds no {split} text: {LAYOUT}")
    return load_corpus(whole, split)


def _bytes(file: Path) -> NDArray[np.uint8]:
    if file.stat().st_size == 0:
        raise UserError(f"{file} is empty: {LAYOUT}")
    return np.memmap(file, np.uint8, "r")


def _part(file: Path, split: str) -> Corpus:
    data = _bytes(file)
    first, last = (len(data) * hundredth // 100 for hundredth in PARTS[split])
    return Corpus(data[first:last], np.zeros(1, np.int64))


def _unzipped(file: Path) -> Path:
    if file.suffix != ".zip":
        return file
    with zipfile.ZipFile(file) as archive:
        names = [info for info in archive.infolist() if not info.is_dir()]
        if len(names) != 1:
            raise UserError(f"{file} holds {len(names)} files, expected one: {LAYOUT}")
        size, raw = names[0].file_size, file.with_suffix(".bytes")
        if size > max(ANY, MOST_TIMES * file.stat().st_size) or size > shutil.disk_usage(
            file.parent
        ).free + _size(raw):
            raise UserError(
                f"{file} would become a text of {size:,} bytes, more than {MOST_TIMES} times its size or than the disk "
                "has room for; if it is what you want, unpack it and give the text itself"
            )
        if _size(raw) != size or _checksum(raw) != names[0].CRC:
            with (
                atomically(raw) as temporary,
                archive.open(names[0]) as source,
                temporary.open("wb") as target,
            ):
                while chunk := source.read(1 << 20):
                    target.write(chunk)
    return raw


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _checksum(file: Path) -> int:
    """CRC-32 of a file."""
    total = 0
    with file.open("rb") as source:
        while chunk := source.read(1 << 20):
            total = zlib.crc32(chunk, total)
    return total


def _books(root: Path, split: str) -> Corpus:
    folder = root / {"valid": "validation"}.get(split, split)
    books = sorted(folder.glob("*.txt"))
    if not books:
        raise UserError(f"{folder} holds no .txt files: {LAYOUT}")
    sizes = np.array([book.stat().st_size for book in books], np.int64)
    raw = root / f"{split}.bytes"
    newest = max(book.stat().st_mtime for book in books)
    if _size(raw) != sizes.sum() or raw.stat().st_mtime < newest:
        with atomically(raw) as temporary, temporary.open("wb") as target:
            for book in books:
                target.write(book.read_bytes())
    return Corpus(_bytes(raw), np.concatenate([[0], sizes.cumsum()[:-1]]))
