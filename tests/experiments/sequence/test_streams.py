"""What the tasks ask, checked against what they show."""

from __future__ import annotations

import itertools
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expirespan.experiments.sequence.charlm import CharLM
from expirespan.experiments.sequence.collision import (
    NEVER,
    SIDE,
    VELOCITIES,
    Collision,
    advance,
    pair_number,
    write_collisions,
)
from expirespan.experiments.sequence.copying import Copy
from expirespan.experiments.sequence.corpora import load_corpus
from expirespan.experiments.sequence.stream import IGNORE, Block, Stream
from expirespan.experiments.settings.errors import UserError

QUICK = settings(derandomize=True, deadline=None, max_examples=20)


def joined(stream: Stream, *steps: int) -> Block:
    blocks = [stream.block(n) for n in steps]
    return Block(*(np.concatenate(parts, 1) for parts in zip(*blocks, strict=True)))


def text(tmp_path: Path, data: bytes = bytes(range(100))) -> Path:
    path = tmp_path / "text"
    path.write_bytes(data)
    return path


# Copy ---------------------------------------------------------------------------------------------


@given(
    delay=st.integers(0, 12),
    payload=st.integers(1, 4),
    symbols=st.integers(2, 5),
    random=st.booleans(),
    steps=st.lists(st.integers(1, 17), min_size=1, max_size=5),
)
@QUICK
def test_copy_asks_for_what_it_showed(
    delay: int, payload: int, symbols: int, random: bool, steps: list[int]
) -> None:
    shortest = 1 if random and delay else None
    stream = Copy(3, delay, payload, symbols, shortest)
    tokens, targets, start = joined(stream, *steps)
    assert tokens.max() < stream.vocabulary
    assert start[:, 0].all()
    for row in range(3):
        begins = [*np.flatnonzero(start[row]), sum(steps)]
        for begin, end in itertools.pairwise(begins):
            symbol, slot = tokens[row, begin:end].T
            asked = np.flatnonzero(symbol == stream.ask)
            assert (symbol[:payload] < symbols).all()
            assert (targets[row, begin:end] != IGNORE).nonzero()[0].tolist() == asked.tolist()
            if len(asked):
                waited = asked[0] - payload
                assert waited == delay or (shortest and 1 <= waited <= delay)
                noise = symbol[payload : asked[0]]
                assert ((noise >= symbols) & (noise < 2 * symbols)).all()
            assert targets[row, begin + asked].tolist() == symbol[: len(asked)].tolist()
            assert slot[asked].tolist() == slot[: len(asked)].tolist()
            if end < sum(steps):
                assert len(asked) == payload


def test_delays_are_log_uniform() -> None:
    """Between 1 and 1,000 half of them lie below 32 (sqrt 1,000)."""
    stream = Copy(1000, 1000, shortest=1)
    assert abs((stream.delays < 32).mean() - 0.5) < 0.05
    assert stream.delays.min() == 1
    assert stream.delays.max() > 900


# Collision ----------------------------------------------------------------------------------------


def simulate(world: Any, draws: Any, row: int) -> tuple[list[Any], dict[tuple[int, int], int], list[bool]]:
    """One row in plain Python: (x, y, dx, dy, colour) of both particles, quarter of the last meeting by pair."""
    particles = [
        [*world.position[row, i].tolist(), *world.velocity[row, i].tolist(), int(world.colour[row, i])]
        for i in (0, 1)
    ]
    met: dict[tuple[int, int], int] = {}
    meetings = []
    for step in draws:
        for i, particle in enumerate(particles):
            if step.turn[row, i]:
                particle[2:4] = VELOCITIES[step.velocity[row, i]].tolist()
            for axis in (0, 1):
                if not 0 <= particle[axis] + particle[2 + axis] < 16:
                    particle[2 + axis] *= -1
                particle[axis] += particle[2 + axis]
            if step.recolour[row, i]:
                particle[4] = int(step.colour[row, i])
        (x, y, *_), (u, v, *_) = particles
        meetings.append((x, y) == (u, v))
        if meetings[-1]:
            low, high = sorted((particles[0][4], particles[1][4]))
            met[low, high] = (2 if y >= 8 else 0) + (1 if x >= 8 else 0)
    return particles, met, meetings


@given(seed=st.integers(0, 2**31), colours=st.integers(1, 4))
@QUICK
def test_the_fast_simulator_equals_a_plain_one(seed: int, colours: int) -> None:
    stream = Collision(4, colours=colours, seed=seed)
    first, draws = stream.world, stream.draws(300)
    world = first
    for step in draws:
        world = advance(world, step)
    for row in range(4):
        particles, met, _ = simulate(first, draws, row)
        for i in (0, 1):
            assert particles[i][:2] == world.position[row, i].tolist()
            assert particles[i][2:4] == world.velocity[row, i].tolist()
            assert particles[i][4] == world.colour[row, i]
        numbers = {int(pair_number(np.array(a), np.array(b))): quarter for (a, b), quarter in met.items()}
        assert {i: int(q) for i, q in enumerate(world.met[row]) if q != NEVER} == numbers


def test_answers_follow_from_what_is_shown() -> None:
    """Meetings, pairs and episodes read off the tokens alone; every answer is the last meeting's quarter."""
    stream = Collision(6, colours=2, episode=700, ask=0.3, seed=1)
    tokens, targets, start = joined(stream, 500, 1, 700)
    assert tokens.max() < stream.vocabulary
    plain = tokens - stream.offset
    assert (plain >= 0).all()
    assert (plain < stream.sizes).all()
    questions = 0
    for row in range(6):
        last: dict[int, int] = {}
        for t, (x, y, a, u, v, b, question) in enumerate(plain[row].tolist()):
            if start[row, t]:
                last = {}
            if (x, y) == (u, v):
                last[int(pair_number(np.array(a), np.array(b)))] = 2 * (y >= 8) + (x >= 8)
            if question < stream.pairs:
                assert targets[row, t] == last[question]
                questions += 1
            else:
                assert targets[row, t] == IGNORE
        assert start[row].sum() in (2, 3)
    assert questions > 500


def test_pairs_have_numbers_of_their_own() -> None:
    pairs = [(a, b) for b in range(4) for a in range(b + 1)]
    numbers = [int(pair_number(np.array(a), np.array(b))) for a, b in pairs]
    assert numbers == list(range(10))
    assert numbers == [int(pair_number(np.array(b), np.array(a))) for a, b in pairs]


def test_meetings_and_answers_are_spread_over_the_grid() -> None:
    """About one step in 256 is a meeting, and no quarter is the answer much more often than another."""
    stream = Collision(64, colours=1, ask=1.0, seed=3)
    tokens, targets, _ = joined(stream, 3000)
    plain = tokens - stream.offset
    met = (plain[..., 0] == plain[..., 3]) & (plain[..., 1] == plain[..., 4])
    assert 0.5 < met.mean() * SIDE**2 < 2
    share = np.bincount(targets[targets != IGNORE], minlength=4) / (targets != IGNORE).sum()
    assert (abs(share - 0.25) < 0.1).all()


def test_how_far_back_answers_lie() -> None:
    """The shares that docs/sequences.md gives for two colours, from fewer steps."""
    stream = Collision(64, colours=2, seed=5)
    tokens, targets, _ = joined(stream, 8192)
    plain = tokens - stream.offset
    met = (plain[..., 0] == plain[..., 3]) & (plain[..., 1] == plain[..., 4])
    pair = pair_number(plain[..., 2], plain[..., 5])
    last = np.zeros((64, stream.pairs), np.int64)
    ages: list[int] = []
    for t in range(8192):
        last[met[:, t], pair[met[:, t], t]] = t
        asked = np.flatnonzero(targets[:, t] != IGNORE)
        ages += (t - last[asked, plain[asked, t, 6]]).tolist()
    for reach, share in ((64, 0.094), (512, 0.508), (2048, 0.922)):
        assert abs((np.array(ages) < reach).mean() - share) < 0.03


def test_the_simulator_is_fast() -> None:
    """200,000 frames in a second of one core."""
    stream = Collision(256)
    stream.block(10)
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        stream.block(200)
        seconds.append(time.process_time() - begin)
    assert 256 * 200 / min(seconds) >= 200_000


def test_collisions_on_disk(tmp_path: Path) -> None:
    path = write_collisions(tmp_path / "world.npz", Collision(3, seed=5), 400)
    block = Collision(3, seed=5).block(400)
    with np.load(path) as file:
        assert np.array_equal(file["tokens"], block.tokens)
        assert np.array_equal(np.where(file["targets"] < 0, IGNORE, file["targets"]), block.targets)
        assert np.array_equal(file["start"], block.start)


# CharLM -------------------------------------------------------------------------------------------


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


# All ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["copy", "collision", "charlm"])
def test_streams_go_on_from_their_state(task: str, tmp_path: Path) -> None:
    """Also through a file of JSON; another seed gives other data, another cut into blocks does not."""

    def make(seed: int) -> Stream:
        if task == "charlm":
            return CharLM(2, load_corpus(text(tmp_path), "train"))
        return Copy(2, 9, shortest=2, seed=seed) if task == "copy" else Collision(2, episode=30, seed=seed)

    stream = make(0)
    first = stream.block(23)
    saved = json.loads(json.dumps(stream.state_dict()))
    expected = stream.block(40)
    other = make(1)
    assert task == "charlm" or not np.array_equal(other.block(23).tokens, first.tokens)
    other.load_state_dict(saved)
    for one, two in zip(other.block(40), expected, strict=True):
        assert np.array_equal(one, two)
    for one, *parts in zip(joined(make(0), 1, 30, 32), first, expected, strict=True):
        assert np.array_equal(one, np.concatenate(parts, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Copy(0, 5), "rows must be an integer >= 1, got 0"),
        (lambda: Copy(1, -1), "delay must be an integer of steps >= 0, got -1"),
        (lambda: Copy(1, 5, symbols=1), "symbols must be an integer >= 2, got 1"),
        (lambda: Copy(1, 5, shortest=6), "shortest must be None or from 1 to delay=5, got 6"),
        (lambda: Collision(1, ask=1.5), "ask must be a number within"),
        (lambda: Collision(1, episode=0), "episode must be an integer >= 1"),
    ],
)
def test_settings_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
