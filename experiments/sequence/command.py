"""``expirespan sequence``: train on a sequence task."""

from __future__ import annotations

from collections.abc import Sequence

from expirespan.experiments.errors import UserError, unknown
from expirespan.experiments.options import choose_kinds, parse
from expirespan.experiments.run import Run
from expirespan.experiments.sequence.config import KINDS
from expirespan.experiments.sequence.recipes import RECIPES
from expirespan.experiments.sequence.train import final_score, read_sequence_config, train_sequence

STOPPED = 130


def sequence_command(args: Sequence[str]) -> int:
    """Train by a recipe, or go on with ``--resume RUN``; then print the score on the test data."""
    prog = "expirespan sequence"
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    first, *rest = args
    resume = None
    if first == "--resume":
        if not rest:
            raise UserError("--resume needs a path: a run folder")
        resume = Run.open(rest.pop(0))
        default, about = read_sequence_config(resume), f"settings of {resume.folder}"
    elif first in RECIPES:
        recipe = RECIPES[first]
        default = recipe.config
        about = f"{recipe.summary}.\nSource: {recipe.source}. Expected: {recipe.expected}."
    else:
        raise unknown("sequence task", first, RECIPES)
    base, rest = choose_kinds(default, rest, KINDS)
    config = parse(base, rest, f"{prog} {first}", about)
    result = train_sequence(config, resume)
    print(f"{result.trainer.update_number:,} updates, run folder {result.run.folder}")
    if result.interrupted:
        print(f"stopped; to go on: expirespan sequence --resume {result.run.folder}")
        return STOPPED
    score = final_score(result.trainer, result.run)
    chance = "" if score.chance is None else f" (chance {score.chance:.3f})"
    alive = "/".join(f"{count:.0f}" for count in score.alive) or "-"
    print(
        f"test: accuracy {score.accuracy:.3f}{chance}, {score.bits:.3f} bits per question, {score.questions:,} "
        f"questions, alive {alive}"
    )
    return 0


def _help() -> str:
    rows = [f"  {name:<11}{r.summary}; expected: {r.expected}" for name, r in RECIPES.items()]
    kinds = [f"  --{part} {{{','.join(names)}}}" for part, names in KINDS.items()]
    return "\n".join(
        [
            "usage: expirespan sequence TASK [--setting VALUE ...]",
            "       expirespan sequence --resume RUN [--updates N]",
            "",
            "tasks (`expirespan sequence TASK --help` lists the settings):",
            *rows,
            "",
            "Parts come in kinds. --memory NAME chooses one, --memory.FIELD VALUE sets its fields:",
            *kinds,
        ]
    )
