"""Writers of logs that plugins add, chosen by ``--loggers NAME``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stable_baselines3.common.logger import KVWriter

from expirespan import plugins
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.plugins import check_plugin, load_plugin

OpenLogger = Callable[[Path, int | None], KVWriter]
"""Opens a writer in a run's folder. The second argument is None for a new run; a resumed one goes on after that step,
and later rows that the writer finds are to be dropped."""


def find_loggers(names: Sequence[str]) -> list[OpenLogger]:
    """The writers' classes of these names.

    Raises:
        UserError: there is none of a name, or its plugin cannot be used.
    """
    found = []
    for name in names:
        try:
            logger = load_plugin(plugins.LOGGERS, name)
            if logger is None:
                known = list(plugins.plugins(plugins.LOGGERS))
                none = "no package that is installed adds one; docs/extending.md says how"
                raise (
                    unknown("logger", name, known) if known else UserError(f"unknown logger {name!r}: {none}")
                )
            check_plugin(
                plugins.LOGGERS, name, callable(logger), "a class or function that returns a KVWriter"
            )
        except plugins.PluginError as error:
            raise UserError(f"logger {error}") from error
        found.append(logger)
    return found
