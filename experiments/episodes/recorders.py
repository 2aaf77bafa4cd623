"""What is collected of an episode while it is recorded: what the agent sees, and what its memory does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from expirespan.experiments.episodes.frames import Frames, ImageOf, as_picture
from expirespan.experiments.episodes.playing import select
from expirespan.experiments.episodes.showing import WordsOf
from expirespan.memory import Trace

TOP = 16
"""Memories whose attention is kept, of each step and layer: those attended to most."""
OBSERVATION_BYTES = 16_000_000
"""Observations of an episode that take more are left out; their pictures stay."""
TEXT_LENGTH = 400
"""Characters of a text that are kept."""


@dataclass
class Seen:
    """What the agent sees, as it comes."""

    space: spaces.Space[Any]
    draw: ImageOf | None
    say: WordsOf | None
    words: list[str] = field(default_factory=list)
    cue: list[bool] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    allowed: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    frames: Frames = field(default_factory=Frames)
    observation: list[npt.NDArray[Any]] = field(default_factory=list)
    room: int = field(default_factory=lambda: OBSERVATION_BYTES)

    def add(
        self,
        observations: Any,
        infos: dict[str, Any],
        allowed: npt.NDArray[np.bool_] | None,
        rendered: Callable[[], Any] | None,
    ) -> None:
        """One step of the only environment; ``rendered`` is asked for its picture if nothing else shows the state."""
        one = select(observations, 0)
        if allowed is not None:
            self.allowed.append(allowed[0])
        self.cue.append(bool(infos["cue"][0]) if "cue" in infos else False)
        if self.say is not None:
            self.words.append(self.say(one)[:TEXT_LENGTH])
        self.text.append(str(infos["text"][0])[:TEXT_LENGTH] if "text" in infos else "")
        picture = self.draw(one) if self.draw else as_picture(self.space, one)
        if picture is None and "text" not in infos and rendered is not None:
            picture = (rendered() or [None])[0]
        if picture is not None:
            self.frame.append(self.frames.add(picture))
        flat = np.array(spaces.flatten(self.space, one) if isinstance(one, dict) else one)
        self.room -= flat.nbytes
        if self.room >= 0:
            self.observation.append(flat)
        else:  # too much: none at all rather than some
            self.observation.clear()

    def shapes(self) -> dict[str, list[int]] | None:
        """Those of the parts of Dict observations, in the order in which they are flattened."""
        if not isinstance(self.space, spaces.Dict):
            return None
        return {name: list(part.shape or ()) for name, part in self.space.items()}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fields of the trace that these are."""
        return {
            "observation": np.stack(self.observation) if self.room >= 0 else np.zeros((len(self.cue), 0)),
            "cue": np.asarray(self.cue, bool),
            "text": np.asarray(self.text if any(self.text) else [], np.str_),
            "words": np.asarray(self.words, np.str_),
            "frame": np.asarray(self.frame, np.int32),
            "frames": self.frames.array(),
            "allowed": np.stack(self.allowed) if self.allowed else np.zeros((0, 0), bool),
        }


@dataclass
class Kept:
    """What the memory does, as it comes; lists have an entry per layer, or per step and layer."""

    span: list[list[float]] = field(default_factory=list)
    alive: list[list[int]] = field(default_factory=list)
    attended: list[npt.NDArray[np.int32]] = field(default_factory=list)
    attention: list[npt.NDArray[np.float16]] = field(default_factory=list)
    heads: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    death: list[dict[int, int]] = field(default_factory=list)
    living: list[set[int]] = field(default_factory=list)

    def add(self, trace: Trace, step: int) -> None:
        """What happened at a step of the only environment."""
        self.span.append([span[0, 0].item() for span in trace.told_spans()])
        self.alive.append([int(alive[0, 0]) for alive in trace.alive])
        present = [set(births[0].tolist()) - {-1} for births in trace.births]
        self.living, self.death = self.living or [set() for _ in present], self.death or [{} for _ in present]
        for before, now, died in zip(self.living, present, self.death, strict=True):
            died.update(dict.fromkeys((before | {step}) - now, step))
        self.living = present
        births = np.full((len(present), TOP), -1, np.int32)
        most = np.zeros((len(present), TOP), np.float16)
        H = trace.attention[0].shape[1] if trace.attention else 0
        heads = np.zeros((len(present), TOP, H), np.uint8)
        for layer, (weights, keys) in enumerate(zip(trace.attention or [], trace.keys or [], strict=True)):
            by_head = weights[0, :, 0]
            top = by_head.mean(0).topk(min(TOP, weights.shape[-1]))
            read = top.values > 0
            found = int(read.sum())
            births[layer, :found] = keys[0, top.indices[read]].cpu().numpy()
            most[layer, :found] = top.values[read].cpu().numpy()
            heads[layer, :found] = (by_head[:, top.indices[read]].T * 255).round().cpu().numpy()
        self.attended.append(births)
        self.attention.append(most)
        self.heads.append(heads)

    def arrays(self, T: int) -> dict[str, npt.NDArray[Any]]:
        """The fields of the trace that these are, for an episode of T steps."""
        L = len(self.death)
        death = [[died.get(t, T) for t in range(T)] for died in self.death]
        return {
            "span": np.asarray(self.span, np.float32).T.reshape(L, T),
            "alive": np.asarray(self.alive, np.int32).T.reshape(L, T),
            "death": np.asarray(death, np.int32).reshape(L, T),
            "attended": np.stack(self.attended, 1),
            "attention": np.stack(self.attention, 1),
            "heads": np.stack(self.heads, 1),
        }
