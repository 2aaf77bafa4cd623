"""An episode step by step, in a file: what was seen and done, and what the memory kept of it."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from expirespan.experiments.errors import UserError
from expirespan.experiments.files import atomically

FORMAT = "expirespan-trace"
VERSION = 1

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EpisodeTrace:
    """One episode of T steps under a memory of L layers (L = 0 for memories without spans).

    ``observation`` (T, ...), ``action`` (T, ...), ``reward`` (T,), ``value`` (T,): the critic's;
    ``cue`` (T,): the observation shows what must be remembered. ``span`` (L, T): life in steps given to the
    state written at each step. ``alive`` (L, T): memories that each step could read, itself included.
    ``death`` (L, T): the first step after which the memory written at each step was gone; T if it is still
    there at the end. ``about``: JSON-able facts: ``env``, ``settings``, ``seed``, ``success``, ``ramp``,
    ``max_span``, ``trained_steps``, ``recipe``.
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

    def __post_init__(self) -> None:
        T, L = len(self.observation), len(self.span)
        for name in ("action", "reward", "value", "cue"):
            if len(getattr(self, name)) != T:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {T} observations")
        for name in ("span", "alive", "death"):
            if getattr(self, name).shape != (L, T):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}: expected {(L, T)}")

    @property
    def steps(self) -> int:
        """T."""
        return len(self.observation)

    @property
    def layers(self) -> int:
        """L."""
        return len(self.span)

    @property
    def kept(self) -> Bools:
        """(L, T): the memory written at each step is still there at the end."""
        return self.death >= self.steps

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz``, atomically."""
        arrays = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "about"}
        with atomically(path) as temporary:
            np.savez_compressed(
                temporary, format=FORMAT, version=VERSION, about=json.dumps(self.about), **arrays
            )

    @classmethod
    def load(cls, path: Path) -> EpisodeTrace:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, not a trace, or of another version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise UserError(f"there is no trace {path}; `expirespan evaluate RUN` records one") from None
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"{path} is damaged or no .npz file ({error}); record the episode again with "
                "`expirespan evaluate RUN`"
            ) from None
        if "format" not in data or str(data["format"]) != FORMAT:
            raise UserError(
                f"{path} is an .npz file but no trace of an episode; give one from a run's traces/"
            )
        if int(data["version"]) != VERSION:
            raise UserError(
                f"{path} is a trace of version {int(data['version'])} and this program reads {VERSION}; "
                "record it again, or install the version that made it"
            )
        missing = [item.name for item in fields(cls) if item.name not in data]
        if missing:
            raise UserError(f"{path} is an incomplete trace without {', '.join(missing)}; record it again")
        try:
            arrays = {item.name: data[item.name] for item in fields(cls) if item.name != "about"}
            return cls(**arrays, about=json.loads(str(data["about"])))
        except ValueError as error:
            raise UserError(f"{path} is a damaged trace: {error}; record it again") from None
