"""Training on a sequence task, from the run's folder to its score, for the command line and for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from expirespan.experiments.evaluation.stats import wilson
from expirespan.experiments.run_folder.files import write_text
from expirespan.experiments.run_folder.provenance import provenance
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.build import make_stream
from expirespan.experiments.sequence.config import SequenceConfig
from expirespan.experiments.sequence.evaluate import SequenceScore, evaluate
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings.config_file import to_dict
from expirespan.experiments.settings.errors import UserError
from expirespan.experiments.tracking.log_files import STEP
from expirespan.experiments.training.session import Session, session


@dataclass(frozen=True)
class SequenceResult:
    """``score`` is of the last evaluation; None if training was stopped before one."""

    run: Run
    trainer: Trainer
    score: SequenceScore | None
    interrupted: bool


def train_sequence(config: SequenceConfig, resume: Run | None = None) -> SequenceResult:
    """Train for ``config.updates`` updates, in a new run folder or that of ``resume``, which then goes on exactly.

    Raises:
        UserError: settings or data that do not fit, no room for a file, or no memory left; the last checkpoint
            stays.
    """
    torch.set_num_threads(config.threads)
    trainer = Trainer(config)
    make_stream(config, "valid"), make_stream(config, "test")  # raise their errors now, not at the end
    if resume is None and config.weights is not None:
        trainer.load_weights(Run.open(config.weights).newest_checkpoint())
    if resume is not None:
        trainer.load(resume.newest_checkpoint(set_aside=True))
        if trainer.update_number >= config.updates:
            raise UserError(
                f"{resume.folder} already has {trainer.update_number:,} of {config.updates:,} updates; ask for more "
                "with --updates"
            )
    with session(config, trainer, resume) as run_session:
        try:
            score = _loop(trainer, run_session)
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise MemoryError(
                f"out of memory at update {trainer.update_number} ({' '.join(str(error).split())[:200]}); lower "
                "--rows, --block or the memory's reach"
            ) from error
    return SequenceResult(run_session.run, trainer, score, run_session.signal.requested)


def _loop(trainer: Trainer, session: Session) -> SequenceScore | None:
    config, run, logger, signal = trainer.config, session.run, session.logger, session.signal
    score = None
    bar = tqdm(
        total=config.updates,
        initial=trainer.update_number,
        unit=" updates",
        disable=None if config.progress else True,
    )
    with bar:
        while trainer.update_number < config.updates and not signal.requested:
            logs = trainer.update()
            bar.update()
            number, last = trainer.update_number, trainer.update_number == config.updates
            if number % config.evaluate_every == 0 or last:
                score = evaluate(trainer, make_stream(config, "valid"), config.evaluation_steps)
                run.add_evaluation({"step": trainer.num_timesteps, "update": number} | asdict(score))
                logs |= {"eval/accuracy": score.accuracy, "eval/bits": score.bits}
                logs |= {f"eval/layer{i}/alive": alive for i, alive in enumerate(score.alive)}
                bar.set_postfix({"accuracy": f"{score.accuracy:.3f}", "bits": f"{score.bits:.3f}"})
            if number % 10 == 0 or "eval/bits" in logs:
                for key, value in (logs | {STEP: trainer.num_timesteps, "time/updates": number}).items():
                    logger.record(key, value)
                logger.dump(trainer.num_timesteps)
            if number % config.save_every == 0 or last or signal.requested:
                session.save(trainer)
    return score


def evaluate_run(config: SequenceConfig, run: Run) -> Trainer:
    """The newest weights of a run, on the data and with the reach that ``config`` says.

    Raises:
        UserError: they do not fit, or there is no checkpoint yet.
    """
    torch.set_num_threads(config.threads)
    trainer = Trainer(config)
    counters = trainer.load_weights(run.newest_checkpoint())
    trainer.update_number, trainer.num_timesteps = counters
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
        "evaluations": run.evaluations(),
        **provenance(),
    }
    write_text(path or run.folder / "test.json", json.dumps(found, indent=2) + "\n")
    return score


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text
