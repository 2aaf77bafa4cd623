"""Reading of trained agents: those that come with the package by their names, others by the path of their files."""

from __future__ import annotations

from pathlib import Path

import torch as th

from expirespan.agents.export.deployed import DeployedPolicy
from expirespan.agents.pretrained.card import Card

SHELF = Path(__file__).parent
"""The folder of those that come with the package."""


def pretrained_names() -> list[str]:
    """Names of the trained agents that come with the package."""
    return sorted(path.stem for path in SHELF.glob("*.json"))


def policy_file(name: str) -> Path:
    """The policy file of a trained agent; ``name`` as of `load_pretrained`.

    Raises:
        ValueError: there is none.
    """
    path = Path(f"{name}.zip") if "/" in name else SHELF / f"{name}.zip"
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise ValueError(
            f"there is no trained agent {name!r}: expected one of {', '.join(pretrained_names())}, or FOLDER/NAME of "
            "the files NAME.zip and NAME.json that `expirespan pretrained RUN` wrote"
        )
    return path


def load_card(name: str) -> Card:
    """The card of a trained agent; ``name`` as of `load_pretrained`.

    Raises:
        ValueError: there is no such agent, or its card is damaged.
    """
    path = policy_file(name).with_suffix(".json")
    try:
        return Card.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no card of a trained agent: {error}") from error


def load_pretrained(name: str, device: th.device | str = "auto") -> DeployedPolicy:
    """A trained agent's policy, ready to act; `load_card` says what it plays and how well.

    Args:
        name: of an agent that comes with the package, such as ``"corridor"``, or ``"FOLDER/NAME"`` of two files that
            ``expirespan pretrained RUN`` wrote, ``NAME.zip`` and ``NAME.json``. Files hold data only, no code.
        device: where it acts, as for SB3's ``load``.

    Raises:
        ValueError: there is no such agent (the message lists those there are), or its file is damaged.
    """
    return DeployedPolicy.load(policy_file(name), device)
