"""Plugins: what other installed packages add under a name, declared by Python entry points.

A package is imported when its thing is asked for by name, and not before. So a broken one disturbs nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

MEMORIES = "expirespan.memories"
"""Group of entry points that name a `Rule` or a `Memory`."""
RECIPES = "expirespan.recipes"
"""Group of entry points that name a `Recipe`."""
ENVIRONMENTS = "expirespan.environments"
"""Group of entry points that name a module which registers ids with Gymnasium; the name is the ids' namespace."""
LOGGERS = "expirespan.loggers"
"""Group of entry points that name a class of writers of logs."""


def entry_points(**chosen: str) -> EntryPoints:
    """Those of all installed packages, by ``group`` and ``name``."""
    from importlib import metadata  # 10 ms, that no other command has to wait for

    found: EntryPoints = cast(Any, metadata.entry_points)(
        **chosen
    )  # in 3.11 its type depends on the arguments
    return found


class PluginError(ValueError):
    """A plugin that cannot be used; the message names its package and says what to do."""


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. Nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=group)}


def package_of(entry: EntryPoint) -> str:
    """The distribution that declares an entry point."""
    return "unknown" if entry.dist is None else entry.dist.name


def load_plugin(group: str, name: str) -> Any:
    """What the plugin of that name in a group stands for; None if no installed package has one.

    Raises:
        PluginError: its package cannot be imported, lacks what it declares, or is not the only one with that name.
    """
    found = entry_points(group=group, name=name)
    if not found:
        return None
    entry, *others = found
    if others:
        packages = " and ".join(sorted(map(package_of, found)))
        raise PluginError(f"{name!r} is in more than one package, {packages}: uninstall all but one")
    try:
        return entry.load()
    except Exception as error:  # whatever the package raises
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise refused(entry, f"importing {entry.value} failed ({said})") from error


def refused(entry: EntryPoint, reason: str) -> PluginError:
    """The error for a plugin that cannot be used."""
    return PluginError(
        f"{entry.name!r} of the package {package_of(entry)} cannot be used: {reason}; update or uninstall that package"
    )


def check_plugin(group: str, name: str, fits: bool, expected: str) -> None:
    """Raise PluginError unless what a plugin stands for ``fits``; ``expected`` says what does."""
    if not fits:
        entry = plugins(group)[name]
        raise refused(entry, f"{entry.value} is not {expected}")
