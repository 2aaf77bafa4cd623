"""The find-instruction task for many agents at once, in numpy: the same episodes as `FindInstruction`.

The lines of an episode are made when it begins, as in the scalar variant; a step only looks one up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.envs.base.vector import Bools, Facts, Floats, Ints, NumpyVectorEnv
from expirespan.envs.instruction import rules as instruction_rules
from expirespan.envs.instruction.pictures import draw_lines, last_lines
from expirespan.envs.instruction.rules import DRAWS, READ, Episode, InstructionRules, Tokens
from expirespan.parameters import Chatter, Cost, Lengths, LineCount, LineLength, NumEnvs, Revisions, Split

__all__ = ["FindInstructionVector"]


class FindInstructionVector(NumpyVectorEnv):
    """`num_envs` streams side by side, step for step what `SyncVectorEnv` makes of as many `FindInstruction`.

    Rules, parameters, observations and infos are on the card of `FindInstruction`. The lines of all episodes are held,
    2 bytes a word: 50 MB for 1024 environments by default.

    Args:
        num_envs: how many streams.
        render_mode: None, ``"rgb_array"`` or ``"ansi"``; `render` gives one picture per stream.

    Raises:
        ValueError: a parameter is not allowed.
    """

    STATE = (*NumpyVectorEnv.STATE, "_tokens", "_turn", "_answer", "_cues", "_length")
    ACTIONS = instruction_rules.ACTIONS
    metadata = {**NumpyVectorEnv.metadata, "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        num_envs: NumEnvs = 1,
        min_length: LineCount = 10,
        max_length: LineCount = 1000,
        length_distribution: Lengths = "uniform",
        split: Split = "train",
        revisions: Revisions = "never",
        early_penalty: Cost = 0.01,
        token_length: LineLength = 24,
        lines: Chatter = "grammar",
        light_path: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.rules = InstructionRules(
            min_length,
            max_length,
            length_distribution,
            split,
            revisions,
            early_penalty,
            token_length,
            lines,
            light_path,
        )
        space, actions = self.rules.observation_space(), spaces.Discrete(len(self.ACTIONS))
        parameters = asdict(self.rules)
        if light_path is not None:  # what the files hold matters, not where they are
            parameters["light_path"] = f"fingerprint {self.rules.source.fingerprint}"
        super().__init__(num_envs, space, actions, render_mode, parameters)
        number = np.int16 if len(self.rules.source.words) < 2**15 else np.int32
        self._tokens = np.zeros((num_envs, self.rules.most_lines + 1, token_length), number)
        self._turn = np.zeros(num_envs, np.int64)  # number of the last line; after it there is an empty one
        self._answer = np.zeros(num_envs, np.int64)
        self._cues = np.zeros((num_envs, 2), np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._rows = np.arange(num_envs)

    def _parse(self, layout: Any) -> Episode:
        return self.rules.parse(layout)

    def _begin(self, indices: Ints, layouts: Sequence[Episode] | None) -> None:
        episodes = layouts or [self.rules.from_draws(draws) for draws in self._uniforms(indices, DRAWS)]
        for i, episode in zip(indices.tolist(), episodes, strict=True):
            lines = len(episode.tokens)
            self._tokens[i, :lines] = episode.tokens
            self._tokens[i, lines] = 0
            self._turn[i], self._answer[i] = lines - 1, episode.answer
            self._cues[i], self._length[i] = (episode.cues * 2)[:2], episode.length
        self._limit[indices] = self._tokens.shape[1] + 1  # never reached

    def _move(self, action: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Bools, Bools]:
        its_turn = self._steps == self._turn
        success = its_turn & (action == self._answer)
        rewards = success.astype(np.float64)
        rewards[~its_turn & (action != READ)] = -self.rules.early_penalty
        return rewards, its_turn, success

    def _look(self, indices: Any) -> tuple[Tokens, Facts]:
        at = self._steps[indices]
        tokens = self._tokens[self._rows[indices], at].astype(np.int64)
        words, texts = self.rules.source.words.__getitem__, np.empty(len(tokens), dtype=object)
        texts[:] = [" ".join(map(words, filter(None, line))) for line in tokens.tolist()]
        cue = (at[:, None] == self._cues[indices]).any(axis=1)
        return tokens, {"text": texts, "cue": cue, "length": self._length[indices].copy()}

    def _picture(self, i: int) -> Any:
        lines = last_lines(
            self.rules.source, self._tokens[i], tuple(self._cues[i].tolist()), int(self._steps[i])
        )
        return "\n".join(lines) if self.render_mode == "ansi" else draw_lines(lines)
