"""Checks of settings by their annotations, before anything is built."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from expirespan.experiments.settings.errors import UserError
from expirespan.quoting import shown
from expirespan.ranges import hints_of, misfit


def check_settings(made: Any, where: str = "") -> None:
    """Check the settings of a dataclass and of its parts.

    Raises:
        UserError: one does not fit its annotation; the message names it with the parts that it belongs to.
    """
    kind: Any = type(made)
    hints = hints_of(kind)
    for item in fields(made):
        value = getattr(made, item.name)
        if is_dataclass(value):
            check_settings(value, f"{where}{item.name}.")
            continue
        wrong = misfit(hints[item.name], value)
        if wrong:
            raise UserError(f"{where}{item.name}={shown(value)}: expected {wrong}")
