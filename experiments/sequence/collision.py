"""Collision: two coloured particles; in which quarter did this pair of colours meet last?

A grid of 16 x 16 cells. Each particle moves by its velocity, (dx, dy) in {-1, 0, 1}^2 without (0, 0), which is drawn
anew with probability ``turn`` per step, and bounces off the walls; its colour is drawn anew from ``colours`` with
probability ``recolour``. The particles meet when they are in one cell. With probability ``ask`` a step asks for a pair
of colours (unordered), drawn uniformly among those that have met in the episode; the answer is the quarter of the
grid, 2 (y >= 8) + (x >= 8), in which that pair met last, a meeting at this step included. An episode lasts ``episode``
steps. Tokens of a step: x, y and colour of each particle, and the question or none.

Chance is 1/4. With C colours there are C (C + 1) / 2 pairs, which meet in turn: what is asked lies about as many times
256 steps back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.sequence.stream import IGNORE, Block, Bools, Ints, Stream
from expirespan.parameters import NumEnvs, ParticleColours, Rate, Seed, Steps
from expirespan.ranges import checked

SIDE = 16
VELOCITIES: Ints = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)], np.int64)
NEVER = -1


class World(NamedTuple):
    """B pairs of particles: position and velocity (B, 2, 2), colour (B, 2), quarter of the last meeting (B, pairs)."""

    position: Ints
    velocity: Ints
    colour: Ints
    met: Ints


class Draws(NamedTuple):
    """All that is random in one step of B worlds; ``order`` and ``ask`` are within [0, 1)."""

    turn: Bools
    velocity: Ints
    recolour: Bools
    colour: Ints
    ask: NDArray[np.float64]
    order: NDArray[np.float64]


def pair_number(first: Ints, second: Ints) -> Ints:
    """Number of an unordered pair of colours: 0 (0, 0), 1 (0, 1), 2 (1, 1), 3 (0, 2), ..."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    number: Ints = high * (high + 1) // 2 + low
    return number


def advance(world: World, draws: Draws) -> World:
    """One step of every world."""
    velocity = np.where(draws.turn[..., None], VELOCITIES[draws.velocity], world.velocity)
    ahead = world.position + velocity
    velocity = np.where((ahead < 0) | (ahead >= SIDE), -velocity, velocity)
    position = world.position + velocity
    colour = np.where(draws.recolour, draws.colour, world.colour)
    met = world.met.copy()
    rows = np.flatnonzero((position[:, 0] == position[:, 1]).all(1))
    if len(rows):
        x, y = position[rows, 0].T
        met[rows, pair_number(*colour[rows].T)] = 2 * (y >= SIDE // 2) + (x >= SIDE // 2)
    return World(position, velocity, colour, met)


class Collision(Stream):
    """``rows`` independent worlds. Their episodes begin at different times, so that a block is like any other."""

    chance = 0.25
    classes = 4

    @checked
    def __init__(
        self,
        rows: NumEnvs,
        colours: ParticleColours = 4,
        episode: Steps = 8192,
        ask: Rate = 0.05,
        turn: Rate = 0.1,
        recolour: Rate = 0.02,
        seed: Seed = 0,
    ) -> None:
        self.rows, self.colours, self.episode = rows, colours, episode
        self.ask, self.turn, self.recolour = ask, turn, recolour
        self.pairs = colours * (colours + 1) // 2
        self.sizes = np.array([SIDE, SIDE, colours, SIDE, SIDE, colours, self.pairs + 1])
        self.offset: Ints = np.concatenate([[0], self.sizes.cumsum()[:-1]])
        self.vocabulary = int(self.sizes.sum())
        self.rng, self.beginnings = np.random.default_rng(seed).spawn(2)
        self.world = self._fresh(rows)
        self.age: Ints = np.arange(rows) * episode // rows
        self.new: Bools = np.ones(rows, np.bool_)

    def _fresh(self, count: int) -> World:
        rng = self.beginnings
        return World(
            rng.integers(SIDE, size=(count, 2, 2)),
            VELOCITIES[rng.integers(len(VELOCITIES), size=(count, 2))],
            rng.integers(self.colours, size=(count, 2)),
            np.full((count, self.pairs), NEVER),
        )

    def draws(self, steps: int) -> list[Draws]:
        """The next steps' random numbers, drawn step after step, so that blocks of any size give the same."""
        number = self.rng.random((steps, self.rows, 10))
        columns = (
            number[..., 0:2] < self.turn,
            (number[..., 2:4] * len(VELOCITIES)).astype(np.int64),
            number[..., 4:6] < self.recolour,
            (number[..., 6:8] * self.colours).astype(np.int64),
            number[..., 8],
            number[..., 9],
        )
        return [Draws(*row) for row in zip(*columns, strict=True)]

    def block(self, steps: int) -> Block:
        """The next steps of every row."""
        positions = np.empty((steps, self.rows, 2, 2), np.int64)
        colours = np.empty((steps, self.rows, 2), np.int64)
        question = np.full((steps, self.rows), self.pairs, np.int64)
        targets = np.full((steps, self.rows), IGNORE, np.int64)
        start = np.empty((steps, self.rows), np.bool_)
        for t, draws in enumerate(self.draws(steps)):
            over = self.age >= self.episode
            if over.any():
                fresh = self._fresh(int(over.sum()))
                for mine, theirs in zip(self.world, fresh, strict=True):
                    mine[over] = theirs
                self.age[over], self.new[over] = 0, True
            self.world = advance(self.world, draws)
            positions[t], colours[t], start[t] = self.world.position, self.world.colour, self.new
            rows = np.flatnonzero((draws.ask < self.ask) & (self.world.met != NEVER).any(1))
            if len(rows):
                met = self.world.met[rows]
                rank = (met != NEVER).cumsum(1)
                chosen = (rank > (draws.order[rows] * rank[:, -1]).astype(np.int64)[:, None]).argmax(1)
                question[t, rows], targets[t, rows] = chosen, met[np.arange(len(rows)), chosen]
            self.age, self.new = self.age + 1, np.zeros_like(self.new)
        parts = (
            positions[:, :, 0],
            colours[:, :, :1],
            positions[:, :, 1],
            colours[:, :, 1:],
            question[..., None],
        )
        tokens = np.concatenate(parts, -1) + self.offset
        return Block(tokens.swapaxes(0, 1), targets.T, start.T)

    def state_dict(self) -> dict[str, Any]:
        """Worlds, ages and the generators."""
        world = {name: value.tolist() for name, value in self.world._asdict().items()}
        return {
            "rngs": [rng.bit_generator.state for rng in (self.rng, self.beginnings)],
            "world": world,
            "age": self.age.tolist(),
            "new": self.new.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for rng, saved in zip((self.rng, self.beginnings), state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self.world = World(**{name: np.asarray(value, np.int64) for name, value in state["world"].items()})
        self.age, self.new = np.asarray(state["age"], np.int64), np.asarray(state["new"], np.bool_)


def write_collisions(path: Path, stream: Collision, steps: int) -> Path:
    """Write the next ``steps`` of every row as .npz: tokens uint16 (B, T, 7), targets int8 (-1: none), start bool."""
    block = stream.block(steps)
    with atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            tokens=block.tokens.astype(np.uint16),
            targets=np.where(block.targets == IGNORE, -1, block.targets).astype(np.int8),
            start=block.start,
        )
    return path
