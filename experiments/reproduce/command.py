"""``expirespan reproduce``: train, score, compare with the documentation, tell."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from expirespan.experiments.reproduce.claims import CLAIMS
from expirespan.experiments.reproduce.outcome import Outcome, Scored, shortcomings
from expirespan.experiments.reproduce.tables import DOCUMENTED, comparison, write_tables
from expirespan.experiments.settings.errors import UserError, unknown
from expirespan.experiments.settings.options import parse, split_paths

CLI = "import sys; from expirespan.experiments.cli import main; sys.exit(main())"
"""What a process of its own runs as ``expirespan``."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Which seeds, and where."""

    seeds: tuple[int, ...] = (0,)
    """Seeds to train."""
    jobs: int = 1
    """Seeds to train at the same time, one thread each."""
    output: Path = Path("runs/reproduce")
    """Folder for TASK-SEED.json; a seed whose file is there is not run again."""
    runs: Path = Path("runs/reproduce")
    """Folder for the runs; a run that was interrupted goes on."""
    documented: Path = DOCUMENTED
    """Folder of the outcomes that the documentation shows."""


def reproduce_command(args: Sequence[str]) -> int:
    """0 if every claim holds, 1 if one does not."""
    prog = "expirespan reproduce TASK [TASK ...]"
    about = (
        "Run the commands of docs/results.md at this commit, one process each, and compare. Exit code 1 if a claim "
        f"does not hold. Tasks: {', '.join(CLAIMS)}.\nWhat follows -- goes to `expirespan train` as it is. `expirespan "
        "reproduce --tables` writes the tables of README and docs anew."
    )
    if not args or args[0] in ("-h", "--help"):
        parse(ReproduceOptions(), ["--help"], prog, about)
        return 0 if args else 2
    if list(args) == ["--tables"]:
        print("\n".join(map(str, write_tables())))
        return 0
    end = list(args).index("--") if "--" in args else len(args)
    tasks, rest = split_paths(args[:end], "no task: tasks come first, then options")
    more = args[end + 1 :]
    options = parse(ReproduceOptions(), rest, prog, about)
    for task in tasks:
        if task not in CLAIMS:
            raise unknown("task", task, CLAIMS)
    if options.jobs < 1 or not options.seeds:
        raise UserError(f"jobs={options.jobs}, seeds={options.seeds}: expected at least one of each")
    for folder in (options.output, options.runs):
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [(task, seed) for task in tasks for seed in options.seeds]
        outcomes = list(pool.map(lambda job: _outcome(job[0], job[1], options, more), jobs))
    print(comparison(outcomes, options.documented))
    short = {f"{o.task} {o.seed}": shortcomings(CLAIMS[o.task], o) for o in outcomes}
    for name, sentences in short.items():
        for sentence in sentences:
            print(f"{name}: {sentence}")
    return int(any(short.values()))


def _outcome(task: str, seed: int, options: ReproduceOptions, more: Sequence[str]) -> Outcome:
    """The outcome of one seed: from its file, or by running it."""
    file = options.output / f"{task}-{seed}.json"
    return Outcome.load(file) if file.exists() else run_seed(task, seed, options, more)


def run_seed(task: str, seed: int, options: ReproduceOptions, more: Sequence[str] = ()) -> Outcome:
    """Train and score one seed, and write its file; ``more``: options of training."""
    from expirespan.experiments.run_folder.run import Run

    claim = CLAIMS[task]
    folder = options.runs / f"{task}-{seed}"
    begun = sorted(folder.glob("*/*/config.yaml"))
    train = ["train", *claim.train, *more, "--seed", str(seed)]
    if claim.begins is not None:
        train += ["--trained-agent", str(_begin(claim.begins, seed, options, more))]
    if begun and (begun[-1].parent / "evaluations.jsonl").exists():
        _expirespan(["train", "--resume", str(begun[-1].parent)], folder)
    else:
        _expirespan(
            [*train, "--runs", str(folder), "--wandb", "off", "--no-tensorboard", "--no-progress"], folder
        )
    run = Run.open(sorted(folder.glob("*/*/config.yaml"))[-1].parent)
    commands = [_shown(train)]
    scores: dict[str, dict[str, Scored]] = {"last": {}, "best": {}}
    for which, found in scores.items():
        for measure in claim.measures:
            score = ["evaluate", "RUN", *measure.options, "--checkpoint", which]
            output = folder / f"{which}.json"
            _expirespan(["evaluate", str(run.folder), *score[2:], "--output", str(output)], folder)
            found[measure.name] = _scored(json.loads(output.read_text()), claim.score)
            commands.append(_shown(score))
    entries = run.evaluations()
    outcome = Outcome(
        task=task,
        seed=seed,
        commands=commands,
        provenance=json.loads((run.folder / "about.json").read_text()),
        target=_target_step(run),
        steps=entries[-1]["step"],
        seconds=_seconds(run),
        evaluations=[
            {"step": e["step"], "score": e[claim.score], "alive_at_end": e["alive_at_end"]} for e in entries
        ],
        last=scores["last"],
        best=scores["best"],
    )
    outcome.save(options.output)
    return outcome


def _begin(task: str, seed: int, options: ReproduceOptions, more: Sequence[str]) -> Path:
    """The run of the same seed to begin with."""
    from expirespan.experiments.run_folder.run import Run

    _outcome(task, seed, options, more)
    found = sorted((options.runs / f"{task}-{seed}").glob("*/*/config.yaml"))
    if not found:
        raise UserError(
            f"{task} {seed} has an outcome but no run in {options.runs}: remove its file to run it again"
        )
    return Run.open(found[-1].parent).find_checkpoint("best")


def _target_step(run: object) -> int | None:
    """Step at which the evaluations reached the run's target."""
    from expirespan.experiments.run_folder.run import Run
    from expirespan.experiments.training.callbacks import reached_at

    assert isinstance(run, Run)
    return reached_at(run.evaluations(), run.config.target)


def _seconds(run: object) -> float:
    """Wall time of the training by its log, pauses excluded."""
    from expirespan.experiments.run_folder.run import Run
    from expirespan.experiments.tracking.log_files import read_csv

    assert isinstance(run, Run)
    times = [
        float(row["time/time_elapsed"]) for row in read_csv(run.progress) if row.get("time/time_elapsed")
    ]
    return sum(times[i] for i in range(len(times)) if i + 1 == len(times) or times[i + 1] < times[i])


def _scored(result: dict[str, object], score: str) -> Scored:
    agent = result["agent"]
    assert isinstance(agent, dict)
    interval = agent["interval"] if score == "success" else agent["return_interval"]
    return Scored(agent[score], interval, agent["alive"], agent["alive_at_end"])


def _shown(args: Sequence[str]) -> str:
    return shlex.join(["expirespan", *args])


def _expirespan(args: Sequence[str], folder: Path) -> None:
    """Run a command in a process of its own; what it prints goes to ``log.txt``.

    Raises:
        UserError: it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        print(_shown(args), file=file, flush=True)
        done = subprocess.run(
            [sys.executable, "-c", CLI, *args], stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        last = (log.read_text(encoding="utf-8").splitlines() or [""])[-1]
        raise UserError(
            f"`{_shown(args)}` failed with exit code {done.returncode}: {last}; its output is in {log}"
        )
