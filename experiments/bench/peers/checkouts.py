"""Checkouts of other people's projects that can take part in `bench agents`, recognised by what they contain."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from expirespan.experiments.settings.errors import UserError

STAND_INS: dict[str, tuple[str, ...]] = {"memory_gym": (), "pom_env": ("PoMEnv",), "gym": ()}
"""Modules that only bring environments, none of which is used, and the names that scripts import from them."""
PACKAGES = {"pyximport": "cython"}
"""Packages that have another name than their module."""


class Peer(NamedTuple):
    """Somebody else's agent.

    ``name``: in the table. ``program``: the module that serves it. ``files``: some of its checkout, the script first.
    """

    name: str
    program: str
    files: tuple[str, ...]


PEERS = (
    Peer("CleanRL ppo_trxl", "trxl", ("cleanrl/ppo_trxl/ppo_trxl.py",)),
    Peer("PufferLib PPO, LSTM", "puffer", ("clean_pufferl.py", "c_gae.pyx", "config.yaml")),
)


def recognise(checkout: Path) -> tuple[Peer, Path]:
    """The peer and the script that trains it.

    Raises:
        UserError: there is none in the folder, or a package that the script imports is not installed.
    """
    for peer in PEERS:
        if all((checkout / file).is_file() for file in peer.files):
            script = (checkout / peer.files[0]).resolve()
            missing = [
                PACKAGES.get(name, name) for name in _imports(script) if not _found(name, script.parent)
            ]
            if missing:
                raise UserError(
                    f"peers={checkout}: {peer.name} needs {', '.join(missing)}; pip install {' '.join(missing)}"
                )
            return peer, script
    raise UserError(
        f"peers={checkout}: expected a checkout of CleanRL, which has {PEERS[0].files[0]}, or of PufferLib 1.0, which "
        f"has {', '.join(PEERS[1].files)}"
    )


def _imports(script: Path) -> Iterator[str]:
    """Modules that a script imports when it starts."""
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _found(module: str, folder: Path) -> bool:
    beside = (folder / module).is_dir() or any(folder.glob(f"{module}.*"))
    return module in STAND_INS or beside or importlib.util.find_spec(module) is not None
