"""Header and last lines of a training run: what is trained, towards what, where it is, and what to do next."""

from __future__ import annotations

from typing import Any

from expirespan.experiments.evaluation.describe import world
from expirespan.experiments.run_folder.names import quoted
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.settings import (
    AdaptivePenaltySettings,
    Config,
    NoLessonSettings,
    PlateauPenaltySettings,
    TargetSettings,
    WarmupPenaltySettings,
    settings,
)
from expirespan.experiments.training.progress import usual_steps
from expirespan.experiments.training.target import is_target

SHOWN = ("layers", "width", "max_span", "window", "slots", "ramp")
"""Settings of a memory that the header shows."""


def header(config: Config, run: Run, done: int) -> list[tuple[str, str]]:
    """Facts on a run that begins, or goes on after ``done`` environment steps."""
    begin = f", goes on after {done:,} steps" if done else ""
    folder = quoted(run.folder)
    first = (
        f"expirespan view {folder} (from the first evaluation on, after {config.evaluation.every:,} steps)"
    )
    facts = [
        ("recipe", f"{config.recipe}, seed {config.seed}{begin}"),
        ("agent", f"{config.algorithm.name.upper()}, {memory_words(config.memory)}"),
        ("environment", f"{world(config.env.gym_id, config.env.parameters)}, {config.num_envs} side by side"),
        ("price", price_words(config)),
        ("target", target_words(config.target)),
        ("ends", end_words(config)),
        ("folder", str(run.folder)),
        ("watch", first),
    ]
    if config.tensorboard:
        facts.append(("", f"tensorboard --logdir {folder}"))
    return facts


def memory_words(memory: Any) -> str:
    """A memory and its size."""
    known = settings(memory)
    size = [f"{name.replace('_', ' ')} {known[name]:,}" for name in SHOWN if known.get(name) is not None]
    return f"memory {memory.name} ({', '.join(size)})"


def price_words(config: Config) -> str:
    """What makes the agent forget."""
    price = config.penalty
    lesson = "" if isinstance(config.forgetting, NoLessonSettings) else ", with a lesson in forgetting"
    if isinstance(price, AdaptivePenaltySettings):
        return f"{price.coef:g}, once success (or the mean return) reaches {price.target:g}{lesson}"
    if isinstance(price, PlateauPenaltySettings):
        return f"{price.coef:g}, once the score makes no more progress{lesson}"
    if isinstance(price, WarmupPenaltySettings):
        return f"rises to {price.coef:g} from step {price.start:,} to {price.start + price.steps:,}{lesson}"
    return (
        f"{price.coef:g} from the start{lesson}" if price.coef else "none: the agent has no reason to forget"
    )


def target_words(target: TargetSettings) -> str:
    """The target of training."""
    if not is_target(target):
        return "none"
    parts = (
        ("success {:g}", target.success),
        ("mean return {:g}", target.mean_return),
        ("at most {:g} memories alive per layer", target.alive),
    )
    wanted = [words.format(value) for words, value in parts if value is not None]
    row = (
        f", in {target.evaluations} evaluations in a row" if target.evaluations > 1 else ", in one evaluation"
    )
    return " with ".join(wanted) + row


def end_words(config: Config) -> str:
    """When the run ends."""
    most = f"{config.total_timesteps:,} steps"
    if not is_target(config.target):
        return f"after {most}"
    hold = (
        f"{config.target.hold:,} steps after its target" if config.target.hold else "when its target is met"
    )
    usual = usual_steps(config)
    often = f", usually after about {usual:,} steps" if usual else ""
    return f"{hold}{often}; after {most} at the latest"


def next_words(run: Run) -> list[tuple[str, str]]:
    """What to do with a run that has ended."""
    folder = quoted(run.folder)
    return [
        ("next", f"expirespan evaluate {folder} --trace"),
        ("", f"expirespan view {folder} --open"),
        ("", f"expirespan compare {folder} OTHER-RUN"),
    ]
