"""Writes figures as PNG, SVG or PDF, as the suffix of the path says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from expirespan.experiments.run_folder.files import atomically
from expirespan.experiments.settings.errors import UserError

FORMATS = (".png", ".svg", ".pdf")
_NO_TIME: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_SAME: Any = {"svg.hashsalt": "expirespan", "pdf.fonttype": 42}  # fonts that journals accept


def check_picture(path: Path, name: str = "picture") -> None:
    """Raise UserError unless a picture can be written to the path that the option ``name`` gives."""
    if path.suffix.lower() not in FORMATS or not path.parent.is_dir():
        raise UserError(
            f"{name}={path}: expected a file that ends in {', '.join(FORMATS)}, in an existing folder"
        )


def write_picture(figure: Figure, path: Path) -> Path:
    """Write the figure atomically and return its path; equal figures give equal files.

    Raises:
        UserError: the suffix is none of `FORMATS`, or there is no such folder.
    """
    check_picture(path)
    suffix = path.suffix.lower()
    with atomically(path) as temporary, rc_context(_SAME):
        figure.savefig(temporary, format=suffix[1:], dpi=130, metadata=_NO_TIME.get(suffix))
    return path
