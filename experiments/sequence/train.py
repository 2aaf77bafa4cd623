"""Training on a sequence task, from the run's folder to its score, for the command line and for scripts."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from expirespan.experiments.evaluation.stats import wilson
from expirespan.experiments.making.agents import rules_of
from expirespan.experiments.making.checked import checked
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.lock import locked
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.build import make_stream
from expirespan.experiments.sequence.config import SequenceConfig, read_sequence_config
from expirespan.experiments.sequence.evaluate import SequenceScore, evaluate
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.tracking.log_files import STEP
from expirespan.experiments.training.session import Session, is_complete, session
from expirespan.parameters import Stretch
from expirespan.quoting import said


@dataclass(frozen=True)
class SequenceResult:
    """``score`` is of the last evaluation; None if training was stopped before one.

    ``interrupted``: something is left to do. ``was_complete``: all updates were done when the run was resumed.
    """

    run: Run
    trainer: Trainer
    score: SequenceScore | None
    interrupted: bool
    was_complete: bool = False


def train_sequence(config: SequenceConfig, resume: Run | None = None) -> SequenceResult:
    """Train for ``config.updates`` updates, in a new run folder or that of ``resume``, which then goes on exactly.

    Raises:
        UserError: settings or data that do not fit, no room for a file, no memory left, or another process trains in
            the folder; the last checkpoint stays.
    """
    with locked(resume.folder) if resume else nullcontext():
        return _train(config, resume)


def _train(config: SequenceConfig, resume: Run | None) -> SequenceResult:
    torch.set_num_threads(config.threads)
    trainer = Trainer(config)
    make_stream(config, "valid"), make_stream(config, "test")  # raise their errors now, not at the end
    if resume is not None and resume.step_checkpoints():
        trainer.load(resume.newest_checkpoint(set_aside=True))
    elif config.weights is not None:
        trainer.load_weights(Run.open(config.weights).newest_checkpoint())
    step = trainer.num_timesteps
    was_complete = (
        resume is not None and trainer.update_number >= config.updates and is_complete(resume, step)
    )
    with session(config, trainer, resume) as run_session:
        try:
            score = _loop(trainer, run_session, [] if resume is None else [resume.logged(step)])
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise MemoryError(
                f"out of memory at update {trainer.update_number} ({said(error, 200)}); lower "
                "--rows, --block or the memory's reach"
            ) from error
    run, step = run_session.run, trainer.num_timesteps
    complete = trainer.update_number >= config.updates and is_complete(run, step)
    return SequenceResult(run, trainer, score, not complete, was_complete)


def _loop(trainer: Trainer, session: Session, notes: list[dict[str, Any]]) -> SequenceScore | None:
    """Train, beginning with what was pending when a resumed run was saved, as the note of its checkpoint says."""
    config, signal = trainer.config, session.signal
    score = _last_score(session.run)
    pending = next((note["pending"] for note in notes if note and "complete" not in note), None)
    bar = tqdm(
        total=config.updates,
        initial=trainer.update_number,
        unit=" updates",
        disable=None if config.progress else True,
    )
    with bar:
        if pending is not None:
            score = _follow(trainer, session, pending, bar) or score
        while trainer.update_number < config.updates and not signal.requested:
            logs = trainer.update()
            bar.update()
            number, last = trainer.update_number, trainer.update_number == config.updates
            saved = number % config.save_every == 0 or last or signal.requested
            if saved:
                session.save(trainer, logs)
            if not signal.requested:
                score = _follow(trainer, session, logs, bar) or score
    return score


def _follow(trainer: Trainer, session: Session, logs: dict[str, float], bar: Any) -> SequenceScore | None:
    """What follows an update, by now saved if it is to be: evaluate and log, each where it is due."""
    config, number = trainer.config, trainer.update_number
    score = None
    if number % config.evaluate_every == 0 or number == config.updates:
        score = evaluate(trainer, make_stream(config, "valid"), config.evaluation_steps)
        session.add_evaluation({"step": trainer.num_timesteps, "update": number} | asdict(score))
        logs = logs | {"eval/accuracy": score.accuracy, "eval/bits": score.bits}
        logs |= {f"eval/layer{i}/alive": alive for i, alive in enumerate(score.alive)}
        bar.set_postfix({"accuracy": f"{score.accuracy:.3f}", "bits": f"{score.bits:.3f}"})
    if number % 10 == 0 or score is not None:
        for key, value in (logs | {STEP: trainer.num_timesteps, "time/updates": number}).items():
            session.logger.record(key, value)
        session.logger.dump(trainer.num_timesteps)
    session.complete(trainer)
    return score


def _last_score(run: Run) -> SequenceScore | None:
    """Of the evaluations before a run was resumed."""
    entries = run.evaluations()
    names = [item.name for item in fields(SequenceScore)]
    return SequenceScore(**{name: entries[-1][name] for name in names}) if entries else None


def evaluate_run(config: SequenceConfig, run: Run, stretch: Stretch = "all") -> Trainer:
    """The newest weights of a run, on the data and with the max span that ``config`` says.

    ``stretch``: whether a max span other than the trained one changes ``all`` spans or only the ``long`` ones.

    Raises:
        UserError: they do not fit, or there is no checkpoint yet.
    """
    torch.set_num_threads(config.threads)
    trainer = Trainer(config)
    counters = trainer.load_weights(run.newest_checkpoint())
    trainer.update_number, trainer.num_timesteps = counters
    if stretch == "long":
        trained = getattr(read_sequence_config(run).memory, "max_span", math.inf)
        with checked("memory.max-span"):
            for rule in rules_of(trainer.model.memory):
                given, rule.max_span = rule.max_span, trained
                rule.raise_max_span(given, stretch)
    return trainer


def final_score(trainer: Trainer, run: Run, path: Path | None = None) -> SequenceScore:
    """Score on the test data, written with all it depends on and the evaluations during training to ``path``, by
    default ``test.json`` in the run's folder. The interval (Wilson, 95 %) takes questions as independent.
    """
    score = evaluate(trainer, make_stream(trainer.config, "test"), trainer.config.evaluation_steps)
    found = asdict(score) | {
        "interval": wilson(round(score.accuracy * score.questions), score.questions),
        "updates": trainer.update_number,
        "timesteps": trainer.num_timesteps,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "settings": to_dict(trainer.config),
        "stretch": [rule.stretch for rule in rules_of(trainer.model.memory)],
        "evaluations": run.evaluations(),
        **provenance(),
    }
    write_text(path or run.folder / "test.json", json.dumps(found, indent=2) + "\n")
    return score


def has_test_result(run: Run, updates: int) -> bool:
    """Whether the score on the test data is that after so many updates."""
    try:
        found = json.loads((run.folder / "test.json").read_text(encoding="utf-8"))
        return bool(found["updates"] == updates)
    except (OSError, ValueError, KeyError):
        return False


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text
