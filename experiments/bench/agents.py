"""Training speed of agents on corridors, and what their rollouts hold, side by side.

Every agent has the same rollouts, epochs, minibatches and widths. Rounds alternate between agents, so that other
work on the machine affects all of them, and are compared in pairs; the median counts. Our memories last nearly as long
as they can, as before training, or ("forgetful") for a step and a ramp of 8, as once it is learned what not to keep.
The last column, the ideal, is how fast this machine could be if it did nothing but the products that learning needs
(`ideal.py`).

Where RecurrentPPO is at its best depends on where episodes end: a minibatch in which none begins is one call of the
LSTM, any other a loop over its steps. So there are workloads of short and long corridors, small and large minibatches,
and rounds within which no episode ended are told apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from expirespan.experiments.bench import ideal
from expirespan.experiments.bench.options import AgentsOptions as Options
from expirespan.experiments.bench.peers.checkouts import recognise
from expirespan.experiments.bench.rivals import REFERENCES, Elsewhere, Here, makers
from expirespan.experiments.bench.served import Round
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError

WARM_UP = 150
"""Steps of an episode before ``predict`` is timed."""


@dataclass(frozen=True)
class Row:
    """Of an agent in a workload.

    ``steps_per_second``: median over ``rounds``. ``ratio``: median, least and greatest over the rounds, of its speed to
    that of ``reference`` in the same round. ``without_ends``: the same of the rounds within which, with neither agent,
    an episode ended; None if there was none. ``predict_ms``: median of as many rounds, of one environment well into an
    episode. ``bytes_per_step`` of the rollout. ``ideal``: steps per second that this machine could reach at best, None
    if it is not known. All three are None for agents of another process.
    """

    corridor: str
    batch_size: int
    agent: str
    reference: str
    steps_per_second: float
    ratio: tuple[float, float, float]
    without_ends: tuple[float, float, float] | None
    predict_ms: float | None
    bytes_per_step: float | None
    rounds: list[float]
    ends: list[bool]
    ideal: float | None


def run(options: Options) -> list[Row]:
    """Measure every agent in every workload.

    Raises:
        UserError: sb3-contrib is not installed, a number is not positive, a corridor is not LOW-HIGH, a checkout is not
            what it should be, or its agent fails.
    """
    check_settings(options)
    if not options.batch_sizes:
        raise UserError("batch_sizes=(): expected at least one")
    if options.version is not None and not (options.version / "memory").is_dir():
        raise UserError(
            f"version={options.version}: expected a checkout of expirespan, with its folder memory/"
        )
    _check_peers(options)
    torch.set_num_threads(options.threads)
    lengths = [_lengths(corridor) for corridor in options.corridors]
    rate = ideal.products_per_second()
    batches = options.batch_sizes if options.algorithm == "ppo" else (options.num_envs * options.n_steps,)
    return [row for pair in lengths for batch in batches for row in _workload(options, pair, batch, rate)]


def _check_peers(options: Options) -> None:
    if options.peers and options.algorithm != "ppo":
        raise UserError(f"peers: expected algorithm=ppo, got {options.algorithm}; they have no other")
    names = [recognise(checkout)[0].name for checkout in options.peers]
    if len({*names}) < len(names):
        raise UserError(f"peers: expected a checkout of each project, got {', '.join(names)}; leave one out")
    rollout = options.num_envs * options.n_steps
    for batch_size in options.batch_sizes if options.peers else ():
        if rollout % min(batch_size, rollout):
            raise UserError(
                f"batch-sizes={batch_size}: peers need a divisor of the rollout's {rollout} steps, for all their "
                "minibatches have one size"
            )


def _lengths(corridor: str) -> tuple[int, int]:
    low, _, high = corridor.partition("-")
    if not (low.isdigit() and high.isdigit() and 3 <= int(low) <= int(high)):
        raise UserError(
            f"corridors={corridor!r}: expected LOW-HIGH, lengths of at least 3 cells, such as 3-200"
        )
    return int(low), int(high)


def _workload(options: Options, corridor: tuple[int, int], batch_size: int, rate: float) -> list[Row]:
    reference = REFERENCES[options.algorithm]
    rivals: dict[str, Here | Elsewhere] = {}
    try:
        for name, make in makers(options, corridor, batch_size).items():
            rivals[name] = make()
        rounds: dict[str, list[Round]] = {name: [] for name in rivals}
        times: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(options.rounds + 1):
            for name, rival in rivals.items():
                rounds[name].append(rival.round())
                if isinstance(rival, Here):
                    times[name].append(_predict_ms(rival.agent))
    finally:
        for rival in rivals.values():
            if isinstance(rival, Elsewhere):
                rival.close()
    rows = []
    for name, rival in rivals.items():
        agent = rival.agent if isinstance(rival, Here) else None
        own, theirs = rounds[name][1:], rounds[reference][1:]
        ratios = [a.steps_per_second / b.steps_per_second for a, b in zip(own, theirs, strict=True)]
        quiet = [ratio for ratio, a, b in zip(ratios, own, theirs, strict=True) if not a.ends and not b.ends]
        rows.append(
            Row(
                corridor="-".join(map(str, corridor)),
                batch_size=batch_size,
                agent=name,
                reference=reference,
                steps_per_second=median(r.steps_per_second for r in own),
                ratio=_spread(ratios),
                without_ends=_spread(quiet) if quiet else None,
                predict_ms=median(times[name][1:]) if agent is not None else None,
                bytes_per_step=bytes_per_step(agent) if agent is not None else None,
                rounds=[r.steps_per_second for r in own],
                ends=[r.ends for r in own],
                ideal=ideal.steps_per_second(agent, rate) if agent is not None else None,
            )
        )
    return rows


def _spread(ratios: list[float]) -> tuple[float, float, float]:
    return median(ratios), min(ratios), max(ratios)


def table(rows: list[Row]) -> str:
    """The rows for people, a block for each workload."""
    beside = f"x {rows[0].reference}"
    head = f"{'agent':<34}{'steps/s':>9}  {beside:<22}{'without ends':<22}"
    head += f"{'ms per predict':>14}{'bytes per step':>16}{'ideal':>9}"
    lines: list[str | None] = []
    workload = None
    for row in rows:
        if (row.corridor, row.batch_size) != workload:
            workload = row.corridor, row.batch_size
            lines += ["" if lines else None, f"corridors of {workload[0]} cells, batch {workload[1]}", head]
        times = "" if row.predict_ms is None else f"{row.predict_ms:.2f}"
        held = "" if row.bytes_per_step is None else f"{row.bytes_per_step:,.0f}"
        best = "" if row.ideal is None else f"{row.ideal:,.0f}"
        lines.append(
            f"{row.agent:<34}{row.steps_per_second:>9,.0f}  {_shown(row.ratio):<22}{_shown(row.without_ends):<22}"
            f"{times:>14}{held:>16}{best:>9}"
        )
    return "\n".join(line for line in lines if line is not None)


def _shown(spread: tuple[float, float, float] | None) -> str:
    return "" if spread is None else f"{spread[0]:.2f} ({spread[1]:.2f}-{spread[2]:.2f})"


def bytes_per_step(agent: OnPolicyAlgorithm) -> float:
    """Bytes that the rollout buffer holds, memory snapshots or hidden states included, per environment step."""
    buffer = agent.rollout_buffer
    return sum(_nbytes(value) for value in vars(buffer).values()) / (buffer.buffer_size * buffer.n_envs)


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_nbytes, value))
    return _nbytes(value.state_dict()) if hasattr(value, "state_dict") else 0


def _predict_ms(agent: OnPolicyAlgorithm, calls: int = 50) -> float:
    last: Any = agent._last_obs
    observation, state = last[:1], None
    none = np.zeros(1, dtype=bool)
    began = 0.0
    for step in range(WARM_UP + calls):
        if step == WARM_UP:
            began = time.perf_counter()
        _, state = agent.predict(observation, state, episode_start=none, deterministic=True)
    return 1e3 * (time.perf_counter() - began) / calls
