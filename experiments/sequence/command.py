"""``expirespan sequence``: train on a sequence task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expirespan.experiments.run_folder.files import check_output
from expirespan.experiments.sequence.config import KINDS, SequenceConfig
from expirespan.experiments.sequence.recipes import RECIPES
from expirespan.experiments.settings import settings
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.options import choose_kinds, parse
from expirespan.parameters import Stretch

if TYPE_CHECKING:
    from expirespan.experiments.run_folder.run import Run
    from expirespan.experiments.sequence.evaluate import SequenceScore

STOPPED = 130


@dataclass(frozen=True)
class _Evaluation(SequenceConfig):
    output: Path | None = None
    """JSON file for the score; by default test.json in the run's folder."""
    stretch: Stretch = "all"
    """With another memory.max-span than the trained one, the spans that it lengthens: all in proportion, or only
    the long ones."""


def sequence_command(args: Sequence[str]) -> int:
    """Train by a recipe, or go on with ``--resume RUN``; then, or at once with ``--evaluate RUN``, print the score on
    the test data.
    """
    prog = "expirespan sequence"
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    from expirespan.experiments.run_folder.run import Run
    from expirespan.experiments.sequence.config import read_sequence_config

    first, *rest = args
    resume = None
    if first in ("--resume", "--evaluate") and not rest:
        raise UserError(f"{first} needs a path: a run folder")
    if first == "--evaluate":
        return _evaluate(Run.open(rest[0]), rest[1:], prog)
    if first == "--resume":
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
    from expirespan.experiments.run_folder.names import quoted
    from expirespan.experiments.sequence.train import final_score, has_test_result, train_sequence

    result = train_sequence(config, resume)
    updates, run = result.trainer.update_number, result.run
    print(f"{updates:,} updates, run folder {run.folder}")
    again = f"expirespan sequence --resume {quoted(run.folder)}"
    if result.interrupted:
        print(f"stopped; to go on: {again}")
        return STOPPED
    if result.was_complete and has_test_result(run, updates):
        print(f"nothing is left to do; to train on: {again} --updates N")
        return 0
    _show(final_score(result.trainer, result.run))
    return 0


def _evaluate(run: Run, args: Sequence[str], prog: str) -> int:
    from expirespan.experiments.sequence.config import read_sequence_config

    default = _Evaluation(**settings(read_sequence_config(run)))
    options = parse(
        default, args, f"{prog} --evaluate RUN", f"Score {run.folder}; settings as it was trained."
    )
    check_output(options.output)
    config = SequenceConfig(**{name: getattr(options, name) for name in settings(SequenceConfig())})
    from expirespan.experiments.sequence.train import evaluate_run, final_score

    _show(final_score(evaluate_run(config, run, options.stretch), run, options.output))
    return 0


def _show(score: SequenceScore) -> None:
    chance = "" if score.chance is None else f" (chance {score.chance:.3f})"
    alive = "/".join(f"{count:.0f}" for count in score.alive) or "-"
    print(
        f"test: accuracy {score.accuracy:.3f}{chance}, {score.bits:.3f} bits per question, {score.questions:,} "
        f"questions, alive {alive}"
    )


def _help() -> str:
    rows = [f"  {name:<11}{r.summary}; expected: {r.expected}" for name, r in RECIPES.items()]
    kinds = [f"  --{part} {{{','.join(names)}}}" for part, names in KINDS.items()]
    return "\n".join(
        [
            "usage: expirespan sequence TASK [--setting VALUE ...]",
            "       expirespan sequence --resume RUN [--updates N]",
            "       expirespan sequence --evaluate RUN [--task.FIELD VALUE ...] [--output FILE]",
            "",
            "tasks (`expirespan sequence TASK --help` lists the settings):",
            *rows,
            "",
            "These options choose a component by name; --memory.FIELD VALUE then sets one of its settings:",
            *kinds,
        ]
    )
