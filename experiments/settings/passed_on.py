"""Options after ``--``, which a command passes on to every training that it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expirespan.experiments.settings.errors import UserError

OURS = {
    "seed": "--seeds gives the seeds",
    "runs": "--runs FOLDER before the -- chooses the folder",
    "recipe": "the recipe's name is the name of the folder",
}
"""Settings of a training that whoever starts several of them sets, each with what to do instead."""


def split_passed_on(args: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """A command's own words, and those after the first ``--``."""
    end = list(args).index("--") if "--" in args else len(args)
    return list(args[:end]), tuple(args[end + 1 :])


def flags_of(more: Sequence[str]) -> set[str]:
    """Names of the options, with dashes, without values."""
    return {word[2:].partition("=")[0].replace("_", "-") for word in more if word.startswith("--")}


def check_passed_on(more: Sequence[str], ours: Mapping[str, str], who: str) -> None:
    """Refuse options that are none of a new training, and those that the command sets itself.

    Args:
        more: the words after ``--``.
        ours: settings that the command sets itself, as `OURS`.
        who: the command in words, such as "the sweep".

    Raises:
        UserError: there is one of them.
    """
    flags = flags_of(more)
    for key, instead in ours.items():
        if key in flags:
            raise UserError(f"--{key} after --: {who} sets it itself; {instead}")
    if wrong := [word for word in more if word in ("-h", "--help", "--resume", "--config")]:
        raise UserError(f"{wrong[0]} after --: expected settings of `expirespan train RECIPE`")
