"""Runner of a claim's commands, each in a separate process: training, then scores by the last and best checkpoints."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from expirespan.experiments.reproduce.claims import CLAIMS
from expirespan.experiments.reproduce.outcome import Outcome, Scored
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.training.history import finished, seconds
from expirespan.experiments.training.target import reached_at

CLI = "import sys; from expirespan.experiments.cli import main; sys.exit(main())"
"""What a process runs as ``expirespan``."""


@dataclass(frozen=True)
class Runner:
    """``output``: folder for TASK-SEED.json; ``runs``: for the runs; ``more``: options of every training."""

    output: Path
    runs: Path
    more: Sequence[str] = ()
    _locks: dict[tuple[str, int], Lock] = field(default_factory=dict, init=False, repr=False)

    def outcome(self, task: str, seed: int) -> Outcome:
        """The outcome of one seed: from its file, or by running it.

        Raises:
            UserError: the file is of another command, or a command failed.
        """
        file = self.output / f"{task}-{seed}.json"
        with self._locks.setdefault((task, seed), Lock()):  # another task may begin with this one's weights
            if not file.exists():
                return self._run(task, seed)
        found, asked = Outcome.load(file), _shown(self._train(task, seed))
        if found.commands[0] != asked and not found.commands[0].startswith(f"{asked} --trained-agent "):
            raise UserError(
                f"{file} was made by `{found.commands[0]}`, and `{asked}` is asked for: remove it, or name another "
                "--output and --runs"
            )
        return found

    def _train(self, task: str, seed: int) -> list[str]:
        return ["train", *CLAIMS[task].train, *self.more, "--seed", str(seed)]

    def _run(self, task: str, seed: int) -> Outcome:
        """Train and score one seed, and write its file."""
        claim = CLAIMS[task]
        folder = self.runs / f"{task}-{seed}"
        train = self._train(task, seed)
        if claim.begins is not None:
            train += ["--trained-agent", str(self._begin(claim.begins, seed))]
        begun = self._newest(task, seed)
        if begun is None or not begun.evaluations():
            _expirespan(
                [*train, "--runs", str(folder), "--wandb", "off", "--no-tensorboard", "--no-progress"], folder
            )
        elif not finished(begun):
            _expirespan(["train", "--resume", str(begun.folder)], folder)
        run = self._newest(task, seed)
        assert run is not None
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
            target=reached_at(entries, run.config.target),
            steps=entries[-1]["step"],
            seconds=seconds(run),
            evaluations=[
                {"step": e["step"], "score": e[claim.score], "alive_at_end": e["alive_at_end"]}
                for e in entries
            ],
            last=scores["last"],
            best=scores["best"],
        )
        print(f"{task} {seed}: {outcome.save(self.output)}", flush=True)
        return outcome

    def _newest(self, task: str, seed: int) -> Run | None:
        """The newest run of a seed."""
        found = sorted((self.runs / f"{task}-{seed}").glob("*/*/config.yaml"))
        return Run.open(found[-1].parent) if found else None

    def _begin(self, task: str, seed: int) -> Path:
        """The checkpoint of the same seed to begin with."""
        self.outcome(task, seed)
        run = self._newest(task, seed)
        if run is None:
            raise UserError(
                f"{task} {seed} has an outcome but no run in {self.runs}: remove its file to run it again"
            )
        return run.find_checkpoint("best")


def _scored(result: dict[str, object], score: str) -> Scored:
    agent = result["agent"]
    assert isinstance(agent, dict)
    interval = agent["interval"] if score == "success" else agent["return_interval"]
    return Scored(agent[score], interval, agent["alive"], agent["alive_at_end"])


def _shown(args: Sequence[str]) -> str:
    return shlex.join(["expirespan", *args])


def _expirespan(args: Sequence[str], folder: Path) -> None:
    """Run a command in a separate process; its output goes to ``log.txt``.

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
