"""``expirespan pretrained``: a table of the trained agents; of a run, a policy file and a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.settings.options import parse
from expirespan.experiments.terminal.text import facts, fitted, show_table
from expirespan.parameters import Number

HELP = """Without a run: list the trained agents that come with the package. With one: write its policy and a card
(training command, commit, seed, scores with intervals, licence) as NAME.zip and NAME.json. Commands that take a run
also take pretrained:NAME, or pretrained:FOLDER/NAME for files of your own; in Python load_pretrained("NAME")."""


@dataclass(frozen=True)
class PretrainedOptions:
    """What to write, and where."""

    name: str = ""
    """Name of the agent; needed."""
    folder: Path = Path("pretrained")
    """Folder for both files. Those of agents/pretrained come with the package."""
    checkpoint: str = "last"
    """best, last, or the path of a checkpoint file."""
    licence: str = "Apache-2.0"
    """Licence of the weights, as an SPDX identifier."""
    summary: str = ""
    """What the agent has learned; by default the summary of its recipe."""
    episodes: Number = 1000
    """Fresh episodes for the score on the card."""


def pretrained_command(args: Sequence[str]) -> int:
    """0 if all went well."""
    prog = "expirespan pretrained [RUN --name NAME]"
    if args and args[0] in ("-h", "--help"):
        parse(PretrainedOptions(), ["--help"], prog, HELP)
        return 0
    if not args:
        return _list()
    if args[0].startswith("-"):
        raise UserError(f"{args[0]!r} is no run: the run's folder comes first, then options")
    options = parse(PretrainedOptions(), args[1:], prog, HELP)
    if not options.name:
        raise UserError("name='': expected --name NAME, by which the agent is to be loaded")
    if options.episodes < 2:
        raise UserError(f"episodes={options.episodes}: expected at least 2, for an interval")
    from expirespan.experiments.pretrained.pack import pack
    from expirespan.experiments.run_folder.run import Run

    run = Run.open(args[0])
    card = pack(
        run,
        options.name,
        options.folder,
        options.checkpoint,
        options.licence,
        options.summary,
        options.episodes,
    )
    file = options.folder / f"{options.name}.zip"
    named = (
        f"pretrained:./{file.with_suffix('')}"
        if not file.is_absolute()
        else f"pretrained:{file.with_suffix('')}"
    )
    print(
        facts(
            [
                ("policy", f"{file} ({file.stat().st_size:,} bytes)"),
                ("card", str(file.with_suffix(".json"))),
                ("score", _score(card)),
                ("next", f"expirespan evaluate {named}"),
            ]
        )
    )
    return 0


def _list() -> int:
    from expirespan.agents import load_card, pretrained_names

    cards = [load_card(name) for name in pretrained_names()]
    rows = [["agent", "environment", "score, 95 %", "alive", "steps", "licence"]]
    for card in cards:
        alive = " / ".join(f"{count:.0f}" for count in card.score.alive_at_end or ())
        rows.append([card.name, card.score.env, _score(card), alive, f"{card.steps:,}", card.licence])
    show_table(rows, left=3)
    print(
        fitted(
            "expirespan evaluate pretrained:NAME scores one again, expirespan view pretrained:NAME shows it."
        )
    )
    return 0


def _score(card: object) -> str:
    """Success, or the mean return, with its interval."""
    from expirespan.agents import Card

    assert isinstance(card, Card)
    score = card.score
    if score.success is not None and score.success_interval is not None:
        low, high = score.success_interval
        return f"success {score.success:.3f} ({low:.3f} to {high:.3f})"
    low, high = score.return_interval
    return f"return {score.mean_return:.4g} ({low:.4g} to {high:.4g})"
