"""The command ``expirespan``. Slow imports happen inside the command that needs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from expirespan.experiments.bench import bench_command
from expirespan.experiments.pretrained.command import pretrained_command
from expirespan.experiments.settings import CorridorSettings, Count, Env
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.options import parse, split_paths, with_default
from expirespan.experiments.terminal.text import facts, fitted, show_table
from expirespan.parameters import MaxSpan, Number, NumEnvs, Seed, Stretch, Threads

USAGE, STOPPED = 2, 130


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate, and on what."""

    env: Annotated[Env, tyro.conf.arg(name="")]
    """Environment; by default the run's evaluation environment."""
    episodes: Number = 1000
    """Fresh episodes."""
    num_envs: NumEnvs = 100
    """Environments they are spread over."""
    seed: Seed = 2_000_000
    """Environment i is seeded seed + i; training and its evaluations use other seeds."""
    deterministic: bool = True
    """Whether the agent takes its most likely actions, or draws them as in training, from a generator seeded seed."""
    step_limit: Count = 1_000_000
    """Steps after which an episode is cut off, and counted as one that did not end."""
    checkpoint: str = "best"
    """best, last, or the path of a checkpoint file."""
    max_span: MaxSpan | None = None
    """Longest span to use instead of the trained one."""
    stretch: Stretch = "all"
    """With max-span, the spans that it lengthens: all in proportion, or only the long ones, so that what the agent
    soon deletes is deleted as soon as before."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Threads = 1
    """Threads of PyTorch on the CPU."""
    trace: str = "1"
    """How many of the longest episodes to record step by step in the run's traces/, seeded seed, seed + 1, ...;
    or the .npz file for one. --trace alone is 1."""
    what_if: bool = True
    """Whether recordings also say, at each step, what the agent would do without the memories it reads most."""
    picture: Path | None = None
    """Retention picture: a .png, .svg or .pdf file; by default pictures/evaluation.png in the run's folder."""
    output: Path | None = None
    """JSON file; by default evaluation.json in the run's folder."""


def train_command(args: Sequence[str]) -> int:
    """``expirespan train``."""
    from expirespan.experiments.training.command import train_command

    return train_command(args)


def evaluate_command(args: Sequence[str]) -> int:
    """``expirespan evaluate``."""
    prog = "expirespan evaluate RUN"
    if not args or args[0] in ("-h", "--help"):
        parse(EvaluateOptions(CorridorSettings()), ["--help"], prog, EVALUATE)
        return 0 if args else USAGE
    if args[0].startswith("-"):
        raise UserError(f"{args[0]!r} is no run: the run's folder comes first, then options")
    import torch
    from stable_baselines3.common.utils import set_random_seed

    from expirespan.experiments.episodes.kept import kept_sentence
    from expirespan.experiments.episodes.record import record_episode, trace_paths
    from expirespan.experiments.episodes.showing import image_of
    from expirespan.experiments.evaluation.describe import show_result
    from expirespan.experiments.evaluation.evaluate import evaluate
    from expirespan.experiments.making.agents import load_agent, override_max_span
    from expirespan.experiments.pictures.picture_file import check_picture
    from expirespan.experiments.pictures.retention import draw_retention
    from expirespan.experiments.run_folder.files import check_output, write_text
    from expirespan.experiments.run_folder.names import quoted
    from expirespan.experiments.run_folder.run import Run

    run = Run.open(args[0])
    config = run.config
    args = with_default(args[1:], "--trace", "1")
    options = parse(EvaluateOptions(config.eval_env, device=config.device), args, prog, EVALUATE)
    paths = trace_paths(options.trace, run.traces)
    drawn = options.picture or run.pictures / "evaluation.png"
    check_picture(drawn)
    check_output(options.output)
    torch.set_num_threads(options.threads)
    agent = load_agent(config, run.find_checkpoint(options.checkpoint), device=options.device)
    if options.max_span is not None:
        override_max_span(agent, options.max_span, options.stretch)
    elif options.stretch != "all":
        raise UserError(
            f"stretch={options.stretch}: expected --max-span N with it, the longest span to stretch to"
        )
    set_random_seed(options.seed)
    result = evaluate(
        agent,
        options.env,
        options.episodes,
        options.num_envs,
        options.seed,
        options.deterministic,
        options.step_limit,
    )
    output = options.output or run.folder / "evaluation.json"
    write_text(output, result.to_json() + "\n")
    traces = []
    for i, path in enumerate(paths):
        traces.append(
            record_episode(
                agent,
                options.env.longest(),
                options.seed + i,
                config.recipe,
                options.deterministic,
                options.what_if,
                options.step_limit,
            )
        )
        traces[-1].save(path)
    if options.trace.isdecimal():  # those of an earlier evaluation; after all else has gone well
        for old in set(run.traces.glob("evaluation*.npz")) - set(paths):
            old.unlink()
    picture = draw_retention(traces[0], drawn, image_of(options.env))
    show_result(result)
    if kept := kept_sentence(traces[0]):
        print(fitted(kept))
    named = [("episode", str(path)) for path in paths] + [("scores", str(output)), ("picture", str(picture))]
    print(
        facts(
            [
                *named,
                ("next", f"expirespan view {quoted(run.folder)} --open"),
                ("", f"expirespan compare {quoted(run.folder)} OTHER-RUN"),
            ]
        )
    )
    return 0


@dataclass(frozen=True)
class CompareOptions:
    """Where to write."""

    output: Path = Path("comparison")
    """Folder for pictures, page and numbers."""
    pictures: Literal["png", "svg", "pdf"] = "png"
    """Format of the pictures in that folder; those on the page are PNG."""


def compare_command(args: Sequence[str]) -> int:
    """``expirespan compare``."""
    prog = "expirespan compare RUN [RUN ...]"
    if not args or args[0] in ("-h", "--help"):
        parse(CompareOptions(), ["--help"], prog, COMPARE)
        return 0 if args else USAGE
    runs, rest = split_paths(args, "no run: the runs' folders come first, then options")
    options = parse(CompareOptions(), rest, prog, COMPARE)

    from expirespan.experiments.evaluation.compare import compare, read_results
    from expirespan.experiments.pictures.comparison_report import table, write_report

    comparison = compare(read_results(runs))
    paths = write_report(comparison, options.output, options.pictures)
    print(fitted(comparison.title))
    show_table(table(comparison), left=2, spare=("each run",))
    print("\n".join(map(str, paths)))
    return 0


def export_command(args: Sequence[str]) -> int:
    """``expirespan export``."""
    from expirespan.experiments.export.command import export_command

    return export_command(args)


def demo_command(args: Sequence[str]) -> int:
    """``expirespan demo``."""
    from expirespan.experiments.demo.command import demo_command

    return demo_command(args)


def view_command(args: Sequence[str]) -> int:
    """``expirespan view``."""
    from expirespan.experiments.viewer.command import view_command

    return view_command(args)


def reproduce_command(args: Sequence[str]) -> int:
    """``expirespan reproduce``."""
    from expirespan.experiments.reproduce.command import reproduce_command

    return reproduce_command(args)


def sweep_command(args: Sequence[str]) -> int:
    """``expirespan sweep``."""
    from expirespan.experiments.sweep.command import sweep_command

    return sweep_command(args)


def suite_command(args: Sequence[str]) -> int:
    """``expirespan suite``."""
    from expirespan.experiments.suite.command import suite_command

    return suite_command(args)


def sequence_command(args: Sequence[str]) -> int:
    """``expirespan sequence``."""
    from expirespan.experiments.sequence.command import sequence_command

    return sequence_command(args)


EVALUATE = (
    "Play fresh episodes with the most likely actions, beside chance and the oracle; write scores, one "
    "episode step by step and its picture into the run's folder."
)

COMPARE = (
    "Compare runs: success against memory and learning curves, interquartile means with intervals over the runs that "
    "have the same settings. A folder of runs, or of a sweep, stands for all in it; files that `expirespan evaluate "
    "RUN --output FILE.json` wrote may take the place of runs. Writes pictures, a page and numbers."
)

COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "demo": (demo_command, "see a trained agent keep one ball and forget a corridor; takes seconds"),
    "train": (train_command, "train an agent by a recipe"),
    "evaluate": (evaluate_command, "score a trained agent on fresh episodes"),
    "compare": (compare_command, "compare runs: success against memory, learning curves"),
    "view": (
        view_command,
        "show recorded episodes as one HTML page: what is kept, how long, and why; of two agents side by side",
    ),
    "export": (export_command, "write a trained policy as a file to act with: for PyTorch or ONNX"),
    "pretrained": (pretrained_command, "list the trained agents of the package; make another of a run"),
    "bench": (bench_command, "measure speed and size"),
    "reproduce": (reproduce_command, "run the documented experiments again and compare"),
    "sweep": (sweep_command, "train recipes over seeds and settings, several at a time"),
    "suite": (suite_command, "compare memories on several tasks over seeds: one table, one picture"),
    "sequence": (sequence_command, "train on a sequence task: copy, collision, charlm"),
}
"""What ``expirespan`` can do, by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well, 2 for an error that the message explains, 130 if stopped."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        if not args or args[0] in ("-h", "--help"):
            print(_help())
            return 0 if args else USAGE
        if args[0] == "--version":
            from expirespan import __version__

            print(f"expirespan {__version__}")
            return 0
        if args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        return COMMANDS[args[0]][0](args[1:])
    except UserError as error:
        print(f"expirespan: error: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for what Python still writes at its end)
        return 0
    except OSError as error:
        print(f"expirespan: error: {error}; check the path, its permissions and the disk", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("expirespan: interrupted", file=sys.stderr)
        return STOPPED


def _help() -> str:
    rows = "\n".join(f"  {name:<12}{summary}" for name, (_, summary) in COMMANDS.items())
    more = "expirespan COMMAND --help says more; expirespan --version."
    return f"usage: expirespan COMMAND ...\n\n{rows}\n\n{more}"
