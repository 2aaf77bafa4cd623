"""Program that serves rounds of CleanRL's ``ppo_trxl``: its script runs as it is, on our corridors.

The script has one loop and no place to wait, so its environments do: when the first step of a round's first rollout is
asked for, they answer for the round before and wait. A round thus lasts from there to the same place after the update.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.experiments.bench.peers.checkouts import STAND_INS
from expirespan.experiments.bench.peers.rounds import Rounds


class Corridors:
    """What the script uses of Gymnasium 0.29's ``SyncVectorEnv``, with flat observations of our corridors."""

    def __init__(self, rounds: Rounds) -> None:
        low, high = rounds.settings["corridor"]
        count = rounds.settings["num_envs"]
        made: Any = gym.make_vec(
            "ExpireSpan/Corridor-v0", num_envs=count, min_length=low, max_length=high
        ).unwrapped
        self.env, self.rounds, self.taken = made, rounds, 0
        self.single_observation_space = gym.spaces.flatten_space(made.single_observation_space)
        self.single_action_space = made.single_action_space
        spec = SimpleNamespace(max_episode_steps=made.rules.step_limit(high))
        self.envs = [SimpleNamespace(spec=spec)]
        self.returns, self.lengths = np.zeros(count), np.zeros(count)

    def reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """Flat observations and no infos."""
        observations, _ = self.env.reset(seed=seed)
        return observations.reshape(len(observations), -1), {}

    def step(self, actions: Any) -> tuple[Any, ...]:
        """Act, after the wait for a round that begins here."""
        if self.taken % (self.rounds.rollouts * self.rounds.settings["n_steps"]) == 0:
            self.rounds.next()
        observations, rewards, terminated, truncated, _ = self.env.step(actions.reshape(-1))
        ended = terminated | truncated
        self.rounds.ends |= bool(ended.any())
        self.returns += rewards
        self.lengths += 1
        told = ended.copy()
        told[0] |= (
            self.taken == 0
        )  # the script reports a mean after its first rollout and needs an episode for it
        self.taken += 1
        infos: dict[str, Any] = {}
        if told.any():
            pairs = zip(told, self.returns.copy(), self.lengths.copy(), strict=True)
            infos["final_info"] = [{"episode": {"r": r, "l": n}} if there else None for there, r, n in pairs]
        self.returns[ended] = self.lengths[ended] = 0
        return observations.reshape(len(observations), -1), rewards, terminated, truncated, infos


def arguments(settings: dict[str, Any]) -> list[str]:
    """Options of the script."""
    given = {
        "num-envs": settings["num_envs"],
        "num-steps": settings["n_steps"],
        "num-minibatches": settings["minibatches"],
        "update-epochs": settings["epochs"],
        "trxl-num-layers": settings["layers"],
        "trxl-dim": settings["width"],
        "trxl-memory-length": int(settings["max_span"]),
        "total-timesteps": 10**12,
    }
    return ["--no-cuda", *(f"--{name}={value}" for name, value in given.items())]


def serve() -> None:
    """Until standard input ends."""
    rounds = Rounds()
    torch.set_num_threads(rounds.settings["threads"])
    script = Path(rounds.settings["script"])
    sys.path.insert(0, str(script.parent))
    for name, names in STAND_INS.items():
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(dict.fromkeys(names))
    vars(gym.vector)["SyncVectorEnv"] = lambda makers: Corridors(rounds)
    sys.argv = [str(script), *arguments(rounds.settings)]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    serve()
