"""Writer for Weights & Biases, the only file that knows of it. Training continues after any error there."""

from __future__ import annotations

import os
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from stable_baselines3.common.logger import Image, KVWriter

from expirespan.agents import Histogram
from expirespan.experiments.settings.tracking import WandbSettings
from expirespan.experiments.tracking.log_files import STEP
from expirespan.experiments.tracking.log_values import Movie, Page, Table
from expirespan.experiments.tracking.wandb_files import run_files
from expirespan.experiments.tracking.wandb_history import PATIENCE, Earlier
from expirespan.experiments.tracking.wandb_login import logged_in

Mode = Literal["auto", "offline", "off"]
DEFAULT = WandbSettings()
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
"""Some of these W&B takes in no id."""


class WandbWriter(KVWriter):
    """Sends what is logged to W&B: scalars, `Histogram`, SB3's `Image`, and what `log_values.py` defines.

    Offline unless the user is logged in (or ``WANDB_MODE`` says otherwise), or if W&B cannot be reached:
    ``folder/wandb/offline-run-*``, which ``wandb sync`` uploads. A killed run loses its last block, so W&B is
    not the record of truth. A run that is resumed at step ``until`` takes over what its earlier parts have up to there,
    and sends nothing that W&B's server has already (`wandb_history.py`). ``kept``: rows of each step that the record of
    truth keeps, where not all up to ``until``.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        mode: Mode = "auto",
        until: int | None = None,
        kept: Mapping[int, int] | None = None,
        filed: WandbSettings = DEFAULT,
    ) -> None:
        self.run: Any = None
        self._data = folder / "wandb"
        self._earlier: Earlier | None = None
        if mode == "off":
            return
        files = [] if until is None else run_files(folder)
        chosen = os.environ.get("WANDB_MODE") or ("online" if mode == "auto" and logged_in() else "offline")
        try:
            try:
                self.run = _start(folder, name, config, chosen, filed)
            except Exception as error:
                if chosen != "online":
                    raise
                warnings.warn(f"no W&B ({error}): offline from here on, see `wandb sync`", stacklevel=2)
                self.run = _start(folder, name, config, "offline", filed)
            self.run.define_metric(STEP)
            self.run.define_metric("*", step_metric=STEP)
            if until is not None and files:
                self._earlier = _taken_over(self.run, files, until, kept)
        except Exception as error:
            self._give_up(error)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Log all values under the step."""
        if self.run is None:
            return
        earlier = self._earlier
        if earlier is not None and earlier.logged[step] > 0:
            earlier.logged[step] -= 1
            return
        try:
            with _data_in(self._data):
                shown = {
                    k: _wandb(v) for k, v in key_values.items() if "wandb" not in (key_excluded.get(k) or ())
                }
                self.run.log(shown | {STEP: step}, step=None if earlier is None else earlier.step)
            if earlier is not None:
                earlier.logged_one()
        except Exception as error:
            self._give_up(error)

    def close(self, exit_code: int = 0) -> None:
        """Finish the run; further calls do nothing."""
        run, self.run = self.run, None
        if run is not None:
            try:
                run.finish(exit_code=exit_code)
                if self._earlier is not None:
                    self._earlier.supersede(PATIENCE)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.run = None
        warnings.warn(
            f"W&B failed and is off from here on; everything is in progress.csv too ({error})", stacklevel=3
        )


def _start(folder: Path, name: str, config: dict[str, Any], mode: str, filed: WandbSettings) -> Any:
    if mode == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would look for a server's address
    import wandb

    settings = wandb.Settings(silent=True, console="off", init_timeout=30)
    if not filed.machine:
        settings.host, settings.disable_git = "", True
        for switch, value in (
            ("x_disable_meta", True),
            ("x_disable_stats", True),
            ("x_save_requirements", False),
        ):
            for known in (switch, f"_{switch.removeprefix('x_')}"):  # older versions have another name
                if hasattr(settings, known):
                    setattr(settings, known, value)
    if hasattr(settings, "finish_timeout"):  # not in older versions
        settings.finish_timeout = 120  # a network that is gone must not keep a finished run from ending
    return wandb.init(
        project=filed.project,
        entity=filed.entity,
        group=filed.group,
        tags=list(filed.tags) or None,
        dir=str(folder),
        name=name,
        id=run_id(name),
        resume="allow" if mode == "online" else None,
        config=config,
        mode=mode,  # type: ignore[arg-type]
        settings=settings,
    )


def _taken_over(run: Any, files: list[Path], until: int, kept: Mapping[int, int] | None) -> Earlier | None:
    """The earlier parts; None, with a warning, if W&B's interior is another than the one we know."""
    try:
        return Earlier(run, files, STEP, until, kept)
    except Exception as error:
        warnings.warn(
            f"the W&B folder of the resumed run lacks what it had logged before ({error}); that is in "
            f"{files[-1].parent}, and everything in progress.csv",
            stacklevel=4,
        )
        return None


def run_id(name: str, most: int = 100) -> str:
    """An id that W&B takes: the name, or, if that is long or has unusual characters, one made from it."""
    usual = _UNUSUAL.sub("-", name)
    return name if usual == name and len(name) <= most else f"{usual[-most:]}-{zlib.crc32(name.encode()):08x}"


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """Keep pictures of tables in the run's folder, where ``wandb sync`` needs them, rather than in the user's home."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def _wandb(value: Any) -> Any:
    import wandb

    match value:
        case Histogram():
            return wandb.Histogram(np_histogram=(value.counts, value.edges))
        case Image():
            return wandb.Image(value.image)
        case Movie():
            return wandb.Video(BytesIO(value.gif()), format="gif")
        case Page():
            return wandb.Html(StringIO(value.html), inject=False)  # a text might be taken for a path
        case Table():
            rows = [
                [wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row]
                for row in value.rows
            ]
            return wandb.Table(columns=list(value.columns), data=rows)
        case _:
            return value
