"""Character language modelling: rows, splits, files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from expirespan.experiments.sequence.charlm import CharLM
from expirespan.experiments.sequence.corpora import load_corpus
from expirespan.experiments.settings.errors import UserError
from tests.experiments.sequence.streams import joined, text


def test_rows_read_their_pieces_over_and_over(tmp_path: Path) -> None:
    """90 bytes of training in two rows of 44; the last byte is only a target."""
    stream = CharLM(2, load_corpus(text(tmp_path), "train"))
    tokens, targets, start = joined(stream, 30, 20)
    assert tokens[0, :, 0].tolist() == [*range(44), *range(6)]
    assert tokens[1, :, 0].tolist() == [*range(44, 88), *range(44, 50)]
    assert targets[0].tolist() == [*range(1, 45), *range(1, 7)]
    assert start.nonzero()[1].tolist() == [0, 44, 0, 44]


def test_splits_of_one_file(tmp_path: Path) -> None:
    """90, 5 and 5 hundredths, from a raw file, a folder that holds it, and an archive; mapped, not read."""
    path = text(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(folder / "enwik8.zip", "w") as archive:
        archive.write(path, "enwik8")
    for source in (path, folder, folder / "enwik8.zip", folder):
        found = [load_corpus(source, split).data for split in ("train", "valid", "test")]
        assert [data.tolist() for data in found] == [[*range(90)], [*range(90, 95)], [*range(95, 100)]]
        assert all(isinstance(data, np.memmap) for data in found)


def test_splits_in_files_and_books(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(split)
    assert bytes(load_corpus(tmp_path, "valid").data) == b"valid"

    books = tmp_path / "pg19"
    for folder in ("train", "validation", "test"):
        (books / folder).mkdir(parents=True)
    (books / "metadata.csv").write_text("1,A,1850,x\n")
    (books / "validation" / "1.txt").write_text("first")
    (books / "validation" / "2.txt").write_text("second.")
    corpus = load_corpus(books, "valid")
    assert bytes(corpus.data) == b"firstsecond."
    assert corpus.documents.tolist() == [0, 5]
    assert CharLM(1, corpus).block(11).start.nonzero()[1].tolist() == [0, 5]
    with pytest.raises(UserError, match=r"train holds no \.txt files: expected one of"):
        load_corpus(books, "train")


def test_texts_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist: expected one of: .*enwik8.*PG-19"):
        load_corpus(tmp_path / "none", "train")
    with pytest.raises(UserError, match="is empty"):
        load_corpus(text(tmp_path, b""), "train")
    (tmp_path / "enwik8.zip").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match="damaged archive"):
        load_corpus(tmp_path / "enwik8.zip", "train")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("enwik8", bytes(range(256)) * 40)
    whole = (tmp_path / "cut.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(UserError, match="damaged archive"):
        load_corpus(tmp_path / "cut.zip", "train")
    with pytest.raises(UserError, match="90 bytes, too few for rows=4 of a block of 23"):
        CharLM(4, load_corpus(text(tmp_path), "train"), block=23)
    with pytest.raises(UserError, match="unknown split 'validation': did you mean 'valid'"):
        load_corpus(tmp_path, "validation")
