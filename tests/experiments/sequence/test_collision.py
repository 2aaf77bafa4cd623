"""What the collision task asks, checked against what it shows."""

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expirespan.experiments.sequence.collision import (
    NEVER,
    SIDE,
    VELOCITIES,
    Collision,
    advance,
    pair_number,
    write_collisions,
)
from expirespan.experiments.sequence.stream import IGNORE
from tests.experiments.sequence.streams import QUICK, joined


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


def test_collisions_on_disk(tmp_path: Path) -> None:
    path = write_collisions(tmp_path / "world.npz", Collision(3, seed=5), 400)
    block = Collision(3, seed=5).block(400)
    with np.load(path) as file:
        assert np.array_equal(file["tokens"], block.tokens)
        assert np.array_equal(np.where(file["targets"] < 0, IGNORE, file["targets"]), block.targets)
        assert np.array_equal(file["start"], block.start)
