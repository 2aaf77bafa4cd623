"""The run of a trained agent: ``pretrained:NAME`` in the place of a run's folder, with its files in runs/pretrained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from expirespan.experiments.run_folder.files import atomically, write_text
from expirespan.experiments.settings import KINDS, Config
from expirespan.experiments.settings.config_file import from_dict, to_yaml
from expirespan.experiments.settings.errors import UserError

PREFIX = "pretrained:"
RUNS = Path("runs/pretrained")
"""Where commands write what they make of trained agents."""


def is_pretrained(source: str | Path) -> bool:
    """Whether a command's argument names a trained agent instead of a folder."""
    return str(source).startswith(PREFIX)


def pretrained_folder(source: str) -> Path:
    """The folder of a run that holds the trained agent ``pretrained:NAME``, with its settings and its policy.

    It is made in the working directory, and made anew if the package has another agent of that name by now.

    Raises:
        UserError: there is no such agent, or the folder cannot be written.
    """
    from expirespan.agents import load_card  # slow
    from expirespan.agents.pretrained.shelf import policy_file

    name = source.removeprefix(PREFIX)
    try:
        card, policy = load_card(name), policy_file(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    config = from_dict(dict(card.settings), f"the card of {name!r}", Config, KINDS)
    folder = RUNS / card.name
    checkpoint = folder / "checkpoints" / f"step-{card.steps:010d}.zip"
    about = {"command": card.command, "commit": card.commit, "versions": dict(card.versions)}
    try:
        if not checkpoint.is_file() or checkpoint.read_bytes() != policy.read_bytes():
            for old in (*folder.glob("checkpoints/*"), *folder.glob("traces/*"), folder / "evaluation.json"):
                old.unlink(missing_ok=True)
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            with atomically(checkpoint) as temporary:
                shutil.copyfile(policy, temporary)
        write_text(folder / "about.json", json.dumps(about, indent=2) + "\n")
        write_text(folder / "config.yaml", to_yaml(config))
    except OSError as error:
        raise UserError(
            f"cannot write {folder}, where {source} is put: {error.strerror or error}; go to a folder you may write to"
        ) from None
    return folder
