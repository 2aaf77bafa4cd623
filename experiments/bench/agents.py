"""Training speed of agents on the corridor, and what their rollouts hold, side by side in one process.

Every agent has the same rollouts, epochs, minibatches and widths. Rounds alternate between agents, so that other
work on the machine affects all of them; the median round counts. MemoryPPO's memories last nearly as long as they
can, as before training, or ("forgetful") for a step and a ramp of 8, as once it has learned what not to keep.
``predict`` is that of one environment, well into an episode.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from expirespan.agents import MemoryA2C, MemoryPPO, SB3VecEnv
from expirespan.experiments.bench.options import AgentsOptions as Options
from expirespan.experiments.making.envs import make_envs
from expirespan.experiments.settings import CorridorSettings
from expirespan.experiments.settings.errors import UserError, unknown

REFERENCE = "RecurrentPPO"
REFERENCES = {"ppo": REFERENCE, "a2c": "A2C"}
"""What each algorithm is compared with."""
LEAST_STEPS = 4000
"""Environment steps of a round, if a rollout is shorter."""
WARM_UP = 150
"""Steps of an episode before ``predict`` is timed."""


@dataclass(frozen=True)
class Row:
    """``steps_per_second``: median over ``rounds``; ``ratio`` to that of ``reference``; ``bytes_per_step`` of the
    rollout; ``predict_ms``: median of as many rounds.
    """

    agent: str
    reference: str
    steps_per_second: float
    ratio: float
    bytes_per_step: float
    predict_ms: float
    rounds: list[float]


def run(options: Options) -> list[Row]:
    """Measure every agent.

    Raises:
        UserError: sb3-contrib is not installed, or a number is not positive.
    """
    for name in ("num_envs", "n_steps", "epochs", "batch_size", "width", "layers", "rounds", "threads"):
        if getattr(options, name) < 1:
            raise UserError(f"{name.replace('_', '-')}={getattr(options, name)}: expected at least 1")
    if options.algorithm not in MAKERS:
        raise unknown("algorithm", options.algorithm, MAKERS)
    torch.set_num_threads(options.threads)
    reference = REFERENCES[options.algorithm]
    agents = {name: make(options) for name, make in MAKERS[options.algorithm].items()}
    speeds: dict[str, list[float]] = {name: [] for name in agents}
    times: dict[str, list[float]] = {name: [] for name in agents}
    for _ in range(options.rounds + 1):
        for name, agent in agents.items():
            speeds[name].append(_steps_per_second(agent))
            times[name].append(_predict_ms(agent))
    median_of = {name: median(rounds[1:]) for name, rounds in speeds.items()}
    return [
        Row(
            agent=name,
            reference=reference,
            steps_per_second=median_of[name],
            ratio=median_of[name] / median_of[reference],
            bytes_per_step=bytes_per_step(agents[name]),
            predict_ms=median(times[name][1:]),
            rounds=rounds[1:],
        )
        for name, rounds in speeds.items()
    ]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    beside = f"x {rows[0].reference}"
    lines = [f"{'agent':<22}{'steps/s':>10}{beside:>16}{'ms per predict':>18}{'rollout bytes per step':>25}"]
    lines += [
        f"{r.agent:<22}{r.steps_per_second:>10,.0f}{r.ratio:>16.2f}{r.predict_ms:>18.2f}{r.bytes_per_step:>25,.0f}"
        for r in rows
    ]
    return "\n".join(lines)


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


def _steps_per_second(agent: OnPolicyAlgorithm) -> float:
    """Of rollouts with their updates."""
    before, began = agent.num_timesteps, time.perf_counter()
    agent.learn(max(agent.n_steps * agent.n_envs, LEAST_STEPS), reset_num_timesteps=False, log_interval=10**9)
    return (agent.num_timesteps - before) / (time.perf_counter() - began)


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


def _arguments(options: Options, **policy: Any) -> dict[str, Any]:
    heads = [options.width, options.width]
    envs = make_envs(CorridorSettings(max_length=options.max_length), options.num_envs)
    return {
        "policy": "MlpPolicy",
        "env": SB3VecEnv(envs, info_keys=()),
        "n_steps": options.n_steps,
        **(
            {"batch_size": options.batch_size, "n_epochs": options.epochs}
            if options.algorithm == "ppo"
            else {}
        ),
        "policy_kwargs": {"net_arch": heads} | policy,
        "device": "cpu",
        "seed": 0,
    }


def _with_memory(options: Options, **more: Any) -> OnPolicyAlgorithm:
    memory = {"width": options.width, "layers": options.layers, "max_span": options.max_span} | more
    kind = MemoryPPO if options.algorithm == "ppo" else MemoryA2C
    return kind(**_arguments(options, memory="expire_span", memory_kwargs=memory))


def _forgetful(options: Options) -> OnPolicyAlgorithm:
    return _with_memory(options, init_fraction=1 / options.max_span, ramp=8)


def _plain(options: Options) -> OnPolicyAlgorithm:
    return (PPO if options.algorithm == "ppo" else A2C)(**_arguments(options))


def recurrent_ppo() -> Any:
    """The class `RecurrentPPO`.

    Raises:
        UserError: sb3-contrib is not installed.
    """
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError as error:
        raise UserError(
            f"the comparison needs sb3-contrib: {error}; pip install 'sb3-contrib>=2.9,<3'"
        ) from error
    return RecurrentPPO


def _recurrent_ppo(options: Options) -> OnPolicyAlgorithm:
    agent: OnPolicyAlgorithm = recurrent_ppo()(
        **_arguments(options, lstm_hidden_size=options.width) | {"policy": "MlpLstmPolicy"}
    )
    return agent


MAKERS: dict[str, dict[str, Callable[[Options], OnPolicyAlgorithm]]] = {
    "ppo": {
        "MemoryPPO": _with_memory,
        "MemoryPPO, forgetful": _forgetful,
        "PPO": _plain,
        REFERENCE: _recurrent_ppo,
    },
    "a2c": {"MemoryA2C": _with_memory, "MemoryA2C, forgetful": _forgetful, "A2C": _plain},
}
"""Agents of each algorithm by the names in the table."""
