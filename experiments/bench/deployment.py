"""Time of one step of a deployed policy: its file in PyTorch, and graphs of several capacities in onnxruntime.

The agent of `expirespan demo` acts in corridors of 200 cells, so the memory holds what a trained agent keeps. Only the
policy is timed, in seconds of processor time on one thread. Rounds alternate between the ways to run it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import expirespan.envs  # noqa: F401  (registers the corridor)
from expirespan.agents import DeployedPolicy, export_onnx
from expirespan.agents.export.check import onnx_player
from expirespan.experiments.bench.options import DeploymentOptions as Options
from expirespan.experiments.settings.checks import check_settings
from expirespan.experiments.settings.errors import UserError

CELLS = 200
"""Length of the corridors."""
Act = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Row:
    """Milliseconds of one step of ``envs`` environments: the best and the median round."""

    way: str
    envs: int
    best: float
    median: float


def run(options: Options) -> list[Row]:
    """Measure every way with every number of environments.

    Raises:
        UserError: a number is not positive, or a capacity is too small for the agent.
    """
    check_settings(options)
    if not options.envs:
        raise UserError("envs=(): expected at least one")
    torch.set_num_threads(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        as_file(files("expirespan.agents.pretrained") / "corridor.zip") as agent,
    ):
        deployed = DeployedPolicy.load(agent, device="cpu")
        graphs = [_written(deployed, Path(folder) / f"{i}.onnx", c) for i, c in enumerate(options.capacities)]
        rounds: dict[tuple[str, int], list[float]] = {}
        for _ in range(options.rounds + 1):
            for envs in options.envs:
                ways: dict[str, Act] = {"policy file, PyTorch": _in_torch(deployed)}
                for path, capacity in graphs:
                    ways[f"ONNX, capacity {capacity}"] = _in_onnxruntime(path, envs)
                for way, act in ways.items():
                    rounds.setdefault((way, envs), []).append(_milliseconds(act, envs, options.steps))
    return [Row(*key, min(found[1:]), median(found[1:])) for key, found in rounds.items()]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [f"{'way':<24}{'environments':>14}{'best ms/step':>16}{'median':>10}"]
    lines += [f"{r.way:<24}{r.envs:>14}{r.best:>16.3f}{r.median:>10.3f}" for r in rows]
    return "\n".join(lines)


def _written(deployed: DeployedPolicy, path: Path, capacity: int | None) -> tuple[Path, int]:
    try:
        return path, export_onnx(deployed, path, capacity)["memory"]["capacity"]
    except ValueError as error:
        raise UserError(f"capacities: {error}") from None


def _in_torch(deployed: DeployedPolicy) -> Act:
    state: Any = None

    def act(obs: Any, start: Any) -> Any:
        nonlocal state
        action, state = deployed.predict(obs, state, start, deterministic=True)
        return action

    return act


def _in_onnxruntime(path: Path, envs: int) -> Act:
    player = onnx_player(path, envs, threads=1)
    return lambda obs, start: player.step({"observation": obs, "episode_start": start})["action"]


def _milliseconds(act: Act, num_envs: int, steps: int) -> float:
    """Mean over the steps of a play."""
    envs = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=num_envs, min_length=CELLS, max_length=CELLS)
    obs, _ = envs.reset(seed=0)
    start, spent = np.ones(num_envs, bool), 0.0
    for _ in range(steps):
        begin = time.process_time()
        action = act(obs, start)
        spent += time.process_time() - begin
        obs, _, terminated, truncated, _ = envs.step(action)
        start = terminated | truncated
    envs.close()
    return 1000 * spent / steps
