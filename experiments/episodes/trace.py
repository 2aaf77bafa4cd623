"""Trace of an episode, step by step, in a file: observations, actions, and what the memory kept and read.

docs/viewer.md describes the file; `EpisodeTrace.load` reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.experiments.episodes.npz import DIGEST, digest, read_arrays
from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.settings import texts
from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import said, shortened

FORMAT = "expirespan-trace"
VERSION = 3
READABLE = ("2", "3")
"""Versions that `EpisodeTrace.load` reads; version 2 has no answers to "what if it had been forgotten"."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

KINDS = {
    "observation": "biuf", "action": "biuf", "reward": "f", "value": "f", "cue": "b", "span": "f", "alive": "iu",
    "death": "iu", "attended": "iu", "attention": "f", "frames": "u", "frame": "iu", "text": "U",
    "heads": "u", "words": "U",
    "allowed": "b", "probability": "f", "removed": "iu", "without": "f", "value_without": "f", "shift": "f",
}  # fmt: skip
"""Kinds of number (`numpy.dtype.kind`) of each array."""
SINCE_3 = ("heads", "words", "allowed", "probability", "removed", "without", "value_without", "shift")
"""Arrays that files of version 2 lack."""


@dataclass(frozen=True, repr=False)
class EpisodeTrace:
    """One episode of T steps under a memory of L layers (L = 0 for memories without spans).

    ``observation`` (T, ...), or (T, 0) of a very long episode, ``action`` (T, ...), ``reward`` (T,), ``value`` (T,):
    the critic's; ``cue`` (T,): the observation shows what must be remembered. ``span`` (L, T): life in steps given to
    the state written at each step. ``alive`` (L, T): memories that each step could read, itself included.
    ``death`` (L, T): the first step after which the memory written at each step was gone; T if it is still
    there at the end. Which memories those are: see `alive_at`. ``about``: JSON-able facts: ``env``, ``settings``,
    ``seed``, ``success``, ``ramp``, ``max_span``, ``trained_steps``, ``recipe``, ``actions`` (their names).

    Empty where not recorded: ``attended``, ``attention`` (L, T, k): the memories that each step attended to most,
    by the step they were written at, and the weights, mean over heads, largest first; -1 and 0 where there are
    fewer. ``frames`` (U, height, width, 3): the different pictures of observations, ``frame`` (T,): which one each
    step shows, -1 for none. ``text`` (T,): observations that are text. ``allowed`` (T, W): the masks of actions.
    ``heads`` (L, T, k, H): the weights of each head, of which ``attention`` is the mean; 255 for 1. ``words`` (T,):
    what each observation shows.

    What if it had been forgotten, empty where not recorded (see `what_if.py`): ``probability`` (T, A): of every action
    or part of one, or means of continuous ones. ``removed`` (T, K): the steps whose memories were removed, one at a
    time, -1 where there are fewer; ``without`` (T, K, A): the probabilities then, ``value_without`` (T, K) the critic's
    value, and ``shift`` (T, K) KL(with || without) in nats. They are 0 where ``removed`` is -1.

    Raises:
        ValueError: an array has another type or shape than these.
    """

    observation: npt.NDArray[Any]
    action: npt.NDArray[Any]
    reward: Floats
    value: Floats
    cue: Bools
    span: Floats
    alive: Ints
    death: Ints
    about: dict[str, Any]
    attended: Ints = field(default_factory=lambda: np.zeros((0, 0, 0), np.int32))
    attention: npt.NDArray[np.floating[Any]] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float16))
    frames: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    frame: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    text: npt.NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    heads: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    words: npt.NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    allowed: Bools = field(default_factory=lambda: np.zeros((0, 0), bool))
    probability: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    removed: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    without: Floats = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    value_without: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    shift: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        T, L = len(self.observation), len(self.span)
        if T == 0:
            raise ValueError("an episode has at least one step")
        for name, kinds in KINDS.items():
            if getattr(self, name).dtype.kind not in kinds:
                raise ValueError(f"{name} holds {getattr(self, name).dtype}")
        for name in (
            "action",
            "reward",
            "value",
            "cue",
            "frame",
            "text",
            "words",
            "allowed",
            "probability",
            "removed",
        ):
            optional = name not in ("action", "reward", "value", "cue") and not getattr(self, name).size
            if len(getattr(self, name)) != T and not optional:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {T} observations")
        for name in ("span", "alive", "death"):
            if getattr(self, name).shape != (L, T):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}: expected {(L, T)}")
        k = self.attended.shape[-1] if self.attended.ndim == 3 else 0
        for name in ("attended", "attention"):
            if getattr(self, name).size and getattr(self, name).shape != (L, T, k):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}: expected {(L, T, k)}")
        if self.heads.size and self.heads.shape[:-1] != (L, T, k):
            raise ValueError(f"heads has shape {self.heads.shape}: expected {(L, T, k, 'H')}")
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3:
            raise ValueError(f"frames has shape {self.frames.shape}: expected (U, height, width, 3)")
        now = np.arange(T)
        self._check("death", self.death, now, T)
        self._check("attended", self.attended, -1, now[:, None])
        shape = (*self.removed.shape, *self.probability.shape[1:])
        for name, size in (("value_without", 2), ("shift", 2), ("without", 3)):
            if getattr(self, name).size and getattr(self, name).shape != shape[:size]:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}: expected {shape[:size]}")
        self._check("removed", self.removed, -1, now[:, None] - 1)
        self._check("frame", self.frame, -1, len(self.frames) - 1)
        if not isinstance(self.about, dict):
            raise ValueError(f"about holds {type(self.about).__name__}, not facts by name")

    @staticmethod
    def _check(name: str, values: npt.NDArray[Any], low: Any, high: Any) -> None:
        if values.size and not ((low <= values) & (values <= high)).all():
            raise ValueError(f"{name} refers to what is not in the episode")

    @property
    def observed(self) -> bool:
        """Whether the observations were recorded; those of a very long episode are not."""
        return self.observation.size > 0

    @property
    def steps(self) -> int:
        """Number of steps T of the episode."""
        return len(self.observation)

    @property
    def layers(self) -> int:
        """Number of layers L of the memory; 0 without spans."""
        return len(self.span)

    @property
    def kept(self) -> Bools:
        """(L, T): the memory written at each step is still there at the end."""
        return self.death >= self.steps

    @property
    def expiry(self) -> Floats:
        """(L, T): the time at which the span of the memory written at each step is over: step + span."""
        return (np.arange(self.steps) + self.span).astype(np.float32)

    @property
    def finite_span(self) -> Floats:
        """(L, T): ``span``, with the episode's length in the place of spans without end."""
        return np.nan_to_num(self.span, posinf=self.steps)

    @property
    def outcome(self) -> str:
        """success or failure; empty where the environment does not report it."""
        told: dict[Any, str] = {True: "success", False: "failure"}
        return told.get(self.about.get("success"), "")

    @property
    def summary(self) -> str:
        """The episode in a few words: environment, steps, outcome, return, and what each layer keeps at the end."""
        kept = ", ".join(f"layer {i} keeps {int(own.sum()):,}" for i, own in enumerate(self.kept, start=1))
        parts = [
            str(self.about.get("env") or "episode"),
            f"{self.steps:,} steps",
            self.outcome,
            f"return {self.reward.sum():.4g}",
            kept,
        ]
        return ", ".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"<EpisodeTrace: {self.summary}; expirespan.experiments.viewer.EpisodeView shows it>"

    def alive_at(self, t: int) -> Bools:
        """(L, t + 1): the memories that step t could read, by the step they were written at; t itself is one."""
        return self.death[:, : t + 1] >= t

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz``, atomically."""
        arrays = {name: getattr(self, name) for name in KINDS}
        facts = {"format": FORMAT, "version": VERSION, "about": json.dumps(self.about)}
        arrays |= {name: np.array(value) for name, value in facts.items()}
        with atomically(path) as temporary:
            named: dict[str, Any] = {DIGEST: np.array(digest(arrays)), **arrays}
            np.savez_compressed(temporary, **named)

    @classmethod
    def load(cls, path: Path) -> EpisodeTrace:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, not a trace, or of another version.
        """
        try:
            data = read_arrays(path, {*KINDS, "format", "version", "about", DIGEST})
        except FileNotFoundError:
            raise UserError(
                f"there is no trace {path}; `expirespan evaluate RUN --trace` records one"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} is damaged or no .npz file ({said(error)}); record the episode again with "
                "`expirespan evaluate RUN --trace`"
            ) from None
        if "format" not in data or str(data["format"]) != FORMAT:
            raise UserError(
                f"{path} is an .npz file but no trace of an episode; give one from a run's traces/"
            )
        version = str(data.get("version"))
        if version not in READABLE:
            raise UserError(
                f"{path} is a trace of version {shortened(version, 40)} and this program reads "
                f"{' and '.join(READABLE)}; record it again, or install the version that made it"
            )
        names = [name for name in KINDS if version != "2" or name not in SINCE_3]
        missing = [name for name in (*names, "about") if name not in data]
        if missing:
            raise UserError(f"{path} is an incomplete trace without {', '.join(missing)}; record it again")
        try:
            _check_numbers(data, names)
            about = texts.parse_json(str(data["about"]))
            return cls(**{name: data[name] for name in names}, about=about)
        except (ValueError, TypeError, IndexError) as error:
            raise UserError(f"{path} is a damaged trace: {said(error)}; record it again") from None


def _check_numbers(data: dict[str, npt.NDArray[Any]], names: list[str]) -> None:
    """Raise ValueError if there is a NaN, or an infinity other than a span without end or an observation's."""
    for name in names:
        if data[name].dtype.kind != "f":
            continue
        endless = np.isposinf(data[name]) if name == "span" else name == "observation"
        wrong = np.isnan(data[name]) | (np.isinf(data[name]) & ~np.asarray(endless))
        if wrong.any():
            raise ValueError(f"{name} holds NaN or infinity")
