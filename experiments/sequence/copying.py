"""Copy: a few symbols, a long delay, then the symbols again.

An episode: ``payload`` steps, at each a symbol drawn uniformly from ``symbols`` of them; ``delay`` steps of noise drawn
uniformly from as many other tokens; ``payload`` steps that ask for the symbols in their order, at which nothing of them
is shown. Symbol j and question j carry the same second token, j, so that a question says what it asks for.
Chance: 1 / ``symbols``. Only the answers count, 1 / (2 + delay / payload) of all steps.

With ``shortest`` the delay of each episode is drawn log-uniformly from [shortest, delay].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from expirespan.experiments.sequence.stream import IGNORE, Block, Ints, Stream
from expirespan.parameters import Alphabet, Delay, NumEnvs, Seed, ShortestDelay, Symbols
from expirespan.ranges import checked, require


class Copy(Stream):
    """``rows`` independent rows of episodes, each beginning where the last ends."""

    @checked
    def __init__(
        self,
        rows: NumEnvs,
        delay: Delay,
        payload: Symbols = 4,
        symbols: Alphabet = 8,
        shortest: ShortestDelay | None = None,
        seed: Seed = 0,
    ) -> None:
        require(
            shortest is None or shortest <= delay,
            "shortest",
            shortest,
            f"None or from 1 to delay={delay}",
        )
        self.rows, self.delay, self.payload, self.symbols = rows, delay, payload, symbols
        self.shortest = delay if shortest is None else shortest
        self.ask = 2 * symbols
        self.slot = self.ask + 1
        self.vocabulary, self.classes, self.chance = self.slot + payload + 1, symbols, 1 / symbols
        self.rngs = [np.random.default_rng((seed, row)) for row in range(rows)]
        self.at: Ints = np.zeros(rows, np.int64)
        self.delays: Ints = np.zeros(rows, np.int64)
        self.given: Ints = np.zeros((rows, payload), np.int64)
        for row in range(rows):
            self._begin(row)

    def _begin(self, row: int) -> None:
        rng = self.rngs[row]
        self.at[row] = 0
        self.given[row] = rng.integers(self.symbols, size=self.payload)
        self.delays[row] = self.delay
        if self.shortest < self.delay:
            low, high = np.log(self.shortest), np.log(self.delay)
            self.delays[row] = round(float(np.exp(rng.uniform(low, high))))

    def block(self, steps: int) -> Block:
        """The next steps of every row."""
        tokens = np.zeros((self.rows, steps, 2), np.int64)
        targets = np.full((self.rows, steps), IGNORE, np.int64)
        start = np.zeros((self.rows, steps), np.bool_)
        for row in range(self.rows):
            done = 0
            while done < steps:
                asked = self.payload + self.delays[row]
                take = int(min(steps - done, asked + self.payload - self.at[row]))
                part, at = slice(done, done + take), self.at[row] + np.arange(take)
                shown, answer = at < self.payload, at >= asked
                place = np.where(answer, at - asked, np.minimum(at, self.payload))
                symbol = self.given[row, np.minimum(place, self.payload - 1)]
                noise = self.rngs[row].integers(self.symbols, 2 * self.symbols, size=take)
                tokens[row, part, 0] = np.where(shown, symbol, np.where(answer, self.ask, noise))
                tokens[row, part, 1] = self.slot + place
                targets[row, part] = np.where(answer, symbol, IGNORE)
                start[row, part] = at == 0
                self.at[row] += take
                done += take
                if self.at[row] == asked + self.payload:
                    self._begin(row)
        return Block(tokens, targets, start)

    def state_dict(self) -> dict[str, Any]:
        """The episodes under way, and the generators."""
        lists = {name: getattr(self, name).tolist() for name in ("at", "delays", "given")}
        return {"rngs": [rng.bit_generator.state for rng in self.rngs], **lists}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        for name in ("at", "delays", "given"):
            setattr(self, name, np.asarray(state[name], np.int64))
