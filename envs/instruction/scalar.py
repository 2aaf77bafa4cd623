"""The find-instruction task as one environment; its card is the docstring of `FindInstruction`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from expirespan.envs.base.checks import check_action, check_ready, layout_option
from expirespan.envs.instruction import rules as instruction_rules
from expirespan.envs.instruction.pictures import draw_lines, last_lines
from expirespan.envs.instruction.rules import DRAWS, READ, Episode, InstructionRules, Tokens
from expirespan.parameters import Chatter, Cost, Lengths, LineCount, LineLength, Revisions, Split

__all__ = ["FindInstruction"]


class FindInstruction(gym.Env[Any, Any]):
    """``ExpireSpan/FindInstruction-v0``: one line among a thousand tells what to do.

    Description
        Text, one line a step: the people and things of some place, chatter, what others do. One line instructs
        this agent: "the queen tells you to give the silver key to the miller". Others are instructed in the same
        words ("the queen tells the guard to ..."). After many more lines the agent's turn comes, and it must
        choose what it was told among four actions. Each of them was told to somebody. They are made of two verbs,
        two objects and two recipients, so that any two share exactly one part.

        With `revisions`, a later line may replace the instruction or cancel it. Then the last word counts; after a
        cancelled instruction the right action at the turn is to do nothing, 0.

    What must be remembered
        The instruction: verb, object and recipient, of which two are enough; and with `revisions` the line that
        replaces or cancels it, after which the first can be forgotten.

    For how long
        From the instruction to the turn, `length` + 1 steps: 11 to 1001 by default.

    Action space
        ``Discrete(5)``: 0 read on, 1 to 4 carry out the first to fourth action offered, which is possible at the
        turn only. At other lines these do nothing and cost `early_penalty`.

    Observation space
        ``Box(0, V - 1, (token_length,), int64)``: the line as tokens, filled up with 0. Our grammar has 390 words,
        so that V is 391. The observation after the turn is all 0.

        The info has ``text`` (str, the line), ``cue`` (bool, whether it instructs this agent), and ``length`` (int,
        lines between the instruction and the turn), and at the end of the episode ``is_success`` (bool).

    Reward
        1 for the right action at the turn, else 0; -`early_penalty` for acting at another line.

    Start
        At a line about the place. Line 1 to 10 instructs. The three others' instructions are at random lines
        thereafter, each in a quarter of its own (in 45 % of the episodes one comes before). The rest is chatter in
        which the same people and objects occur, and no line comes twice. All is drawn with equal chances.
        ``reset(options={"layout": {"lines": ["the king tells you to ...", ..., "your turn first ..."], "cues":
        [0], "answer": 2}})`` fixes the lines, of known words; the last one is the turn.

    Episode end
        Terminated by the action at the turn, whatever it is.

    Parameters
        min_length (10), max_length (1000): bounds of `length`, both included, at least 4.
        length_distribution ("uniform"): or "log_uniform" or "mixed", as in `Corridor`.
        split ("train"): "test" instructs, and revises, in sentences, and about objects, that do not occur in training;
            each word of the objects does, with other words, but of the sentences "door", "smile" and "urges" do not
            (unless LIGHT files have them).
        revisions ("never"): "replace" or "cancel" revise half of all instructions so; "any" replaces a third and
            cancels a third.
        early_penalty (0.01): see Reward; at least 0.
        token_length (24): words of a line, at most; at least 22.
        lines ("grammar"): "light" takes the chatter from local LIGHT files, and their words into the vocabulary.
        light_path (None): with lines="light", such a file or a folder of them; see `light_files`.
        render_mode (None): "rgb_array" or "ansi", the last lines read.
        ValueError for any other value; FileNotFoundError if there is no LIGHT file.

        Registered variants: ``ExpireSpan/FindInstruction-60-v0`` has max_length=60,
        ``ExpireSpan/FindInstruction-Revised-v0`` revisions="any".

    Optimum
        1.0, reading every line.

    Chance
        A uniform random policy is right in 0.2 of episodes and acts early in 0.8 of all steps before: -3.9 in the
        mean by default, -0.13 with FindInstruction-60.

    Memoryless ceiling
        0.25: at the turn each of the four is equally likely to be the one told, whatever they are. With revisions 0.25
        for "replace", 0.5 for "cancel" (doing nothing is right in half of the episodes) and 1/3 for "any".

    Source
        The instruction task of Sukhbaatar et al., "Not All Memories are Created Equal: Learning to Forget by
        Expiring", 2021, arXiv 2105.06548, whose lines come from LIGHT (Urbanek et al. 2019, arXiv 1903.03094). From
        there: an instruction within a stream of text, one line a step, to be carried out when its time comes. Ours:
        the grammar, the instructions to others, the four actions, the penalty, revisions, held-out sentences.

    Version history
        v0: first version.
    """

    ACTIONS: ClassVar[tuple[str, ...]] = instruction_rules.ACTIONS
    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
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
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r}: expected None or one of {self.metadata['render_modes']}"
            )
        self.render_mode = render_mode
        self.observation_space = self.rules.observation_space()
        self.action_space = spaces.Discrete(len(self.ACTIONS))
        self.episode: Episode | None = None
        self._at = 0

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Tokens, dict[str, Any]]:
        """Begin an episode; ``options={"layout": ...}`` fixes its lines (see the card).

        Raises:
            ValueError: an unknown option, or a layout that does not exist.
        """
        layout = layout_option(options)
        given = None if layout is None else self.rules.parse(layout)
        super().reset(seed=seed)
        self.episode = given or self.rules.from_draws(self.np_random.random(DRAWS))
        self._at = 0
        return self._line(), self._facts()

    def step(self, action: Any) -> tuple[Tokens, float, bool, bool, dict[str, Any]]:
        """Read on (0), or carry out an action offered (1 to 4).

        Raises:
            ValueError: an action outside the action space.
            ResetNeeded: before the first `reset`, or after the end of an episode.
        """
        episode = self.episode
        check_ready(episode is not None, episode is not None and self._at == len(episode.tokens))
        assert episode is not None
        chosen = check_action(action, self.ACTIONS)
        its_turn = self._at == len(episode.tokens) - 1
        self._at += 1
        info = self._facts()
        if not its_turn:
            return self._line(), 0.0 if chosen == READ else -self.rules.early_penalty, False, False, info
        info["is_success"] = chosen == episode.answer
        return self._line(), float(chosen == episode.answer), True, False, info

    def render(self) -> Any:
        """The last lines read, as pixels or as text (``ansi``)."""
        if self.episode is None:
            raise ResetNeeded(
                "render() was called before the first reset(): call reset() to begin an episode"
            )
        if self.render_mode is None:
            return None
        lines = last_lines(self.rules.source, self.episode.tokens, self.episode.cues, self._at)
        return "\n".join(lines) if self.render_mode == "ansi" else draw_lines(lines)

    def _line(self) -> Tokens:
        assert self.episode is not None
        if self._at == len(self.episode.tokens):
            return np.zeros(self.rules.token_length, np.int64)
        line: Tokens = self.episode.tokens[self._at].copy()
        return line

    def _facts(self) -> dict[str, Any]:
        assert self.episode is not None
        return {
            "text": self.rules.source.decode(self._line().tolist()),
            "cue": self._at in self.episode.cues,
            "length": self.episode.length,
        }
