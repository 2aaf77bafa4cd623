"""Errors of constructors as user errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from expirespan.experiments.settings.errors import UserError


@contextmanager
def checked(what: str) -> Iterator[None]:
    """Report what constructors say of their arguments as the user's error."""
    try:
        yield
    except (ValueError, TypeError, AssertionError) as error:
        said = " ".join(str(error).split())
        if "wrap each environment in" in said:
            said += " (on the command line --env.wrappers MODULE.NAME)"
        raise UserError(f"{what}: {said}") from error
