"""Errors of constructors as user errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from expirespan.experiments.settings.errors import UserError


@contextmanager
def checked(what: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Report what constructors say of their arguments as the user's error.

    ``kinds``: what else they may raise, such as `Exception` for code of the user.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, (ValueError, TypeError, AssertionError, *kinds)):
            raise
        said = " ".join(str(error).split())
        if not isinstance(error, ValueError | TypeError | AssertionError) or not said:
            said = f"{type(error).__name__}{said and ': '}{said}"
        if "wrap each environment in" in said:
            said += " (on the command line --env.wrappers MODULE.NAME)"
        raise UserError(f"{what}: {said}") from error
