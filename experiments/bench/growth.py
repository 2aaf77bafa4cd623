"""Memory of a process that trains for long, once with an agent that keeps every memory and once with one that forgets.

Each is a training as `expirespan train` makes it, in a separate process: rollouts, updates, evaluations, checkpoints
and pictures. After each update the process is asked how many bytes it holds. Both begin with long spans. Without a
price they stay long; with one from the first step on they become as short as the ramp allows.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from expirespan.agents import MemoryPPO
from expirespan.experiments.bench.options import GrowthOptions as Options
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings import (
    Config,
    ConstantPenaltySettings,
    EvaluationSettings,
    ExpireSpanSettings,
    NoLessonSettings,
    PPOSettings,
    TargetSettings,
)
from expirespan.experiments.training.process_memory import BOUNDED, resident_bytes
from expirespan.experiments.training.train import train

POINTS = 40
"""Of a curve: the training is divided into so many equal parts."""
PRICES = {"keeps": 0.0, "forgets": 0.01}
"""Price of a step of span in the loss, by what the agent does."""


@dataclass(frozen=True)
class Row:
    """``steps``: ends of the parts of the training. In each, ``megabytes`` is the most that the process held after an
    update, and ``kept`` the memories per layer and environment then kept on average.
    """

    agent: str
    steps: list[int]
    megabytes: list[float]
    kept: list[float]


def run(options: Options) -> list[Row]:
    """Train both, each in a new process, ``options.jobs`` at a time."""
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(_trained, PRICES, [options] * len(PRICES)))


def table(rows: list[Row]) -> str:
    """The rows for people: the most in each quarter."""
    lines = [f"{'agent':<10}{'kept':>8}  megabytes in each quarter of {rows[0].steps[-1]:,} steps, at most"]
    for row in rows:
        size = max(1, len(row.megabytes) // 4)
        parts = [max(row.megabytes[i : i + size]) for i in range(0, len(row.megabytes), size)]
        lines.append(f"{row.agent:<10}{row.kept[-1]:>8.1f}  {'  '.join(f'{part:,.0f}' for part in parts)}")
    return "\n".join(lines)


def config_of(agent: str, options: Options, runs: str) -> Config:
    """The recipe's environments and memory; one epoch of updates, so that millions of steps take minutes."""
    chosen = find_recipe("corridor-quick").config
    assert isinstance(chosen.memory, ExpireSpanSettings) and isinstance(chosen.algorithm, PPOSettings)
    return replace(
        chosen,
        total_timesteps=options.steps,
        num_envs=options.num_envs,
        memory=replace(chosen.memory, init_fraction=0.9),
        algorithm=replace(chosen.algorithm, n_epochs=1),
        penalty=ConstantPenaltySettings(PRICES[agent]),
        forgetting=NoLessonSettings(),
        evaluation=EvaluationSettings(every=max(1, options.steps // 10), episodes=50),
        target=TargetSettings(),
        runs=runs,
        wandb="off",
        progress=False,
    )


def _trained(agent: str, options: Options) -> Row:
    found: dict[int, tuple[float, float]] = {}
    update = MemoryPPO.train

    def measured(model: MemoryPPO) -> None:
        update(model)
        part = min(POINTS, -(-model.num_timesteps * POINTS // options.steps))
        megabytes = max(resident_bytes() / 1e6, found.get(part, (0.0, 0.0))[0])
        layers = model._memory_state.layers  # type: ignore[union-attr]
        kept = [float((layer.birth_BS >= 0).sum(1).float().mean()) for layer in layers]
        found[part] = megabytes, sum(kept) / len(kept)

    MemoryPPO.train = measured  # type: ignore[method-assign, assignment]  # this process does nothing else
    if not options.bounded:
        BOUNDED.clear()
    with tempfile.TemporaryDirectory() as runs:
        train(config_of(agent, options, runs))
    parts = sorted(found)
    ends = [part * options.steps // POINTS for part in parts]
    return Row(agent, ends, [found[part][0] for part in parts], [found[part][1] for part in parts])
