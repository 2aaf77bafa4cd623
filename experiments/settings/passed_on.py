"""Options after ``--``, which a command passes on to every training that it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expirespan.experiments.settings.errors import UserError

SEED = "--seeds gives the seeds"
RUNS = "--runs FOLDER before the -- chooses the folder"


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
        ours: options that the command sets itself, without dashes in front, each with what to do instead.
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
