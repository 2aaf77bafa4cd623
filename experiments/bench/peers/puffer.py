"""Program that serves rounds of PufferLib 1.0: its training loop as it is, with its LSTM, on our corridors."""

from __future__ import annotations

import math
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import yaml

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.experiments.bench.peers.rounds import Rounds


class Corridors:
    """What the loop uses of PufferLib's vector environments."""

    def __init__(self, rounds: Rounds) -> None:
        low, high = rounds.settings["corridor"]
        self.num_agents = rounds.settings["num_envs"]
        self.env: Any = gym.make_vec(
            "ExpireSpan/Corridor-v0", num_envs=self.num_agents, min_length=low, max_length=high
        )
        self.rounds = rounds
        self.single_observation_space = self.env.single_observation_space
        self.single_action_space = self.env.single_action_space
        self.everyone, self.present = np.arange(self.num_agents), np.ones(self.num_agents, bool)

    def async_reset(self, seed: int) -> None:
        """Begin an episode everywhere."""
        none = np.zeros(self.num_agents, bool)
        self.last = (self.env.reset(seed=seed)[0], np.zeros(self.num_agents, np.float32), none, none)

    def send(self, actions: Any) -> None:
        """Act."""
        observations, rewards, terminated, truncated, _ = self.env.step(actions)
        self.rounds.ends |= bool((terminated | truncated).any())
        self.last = observations, rewards.astype(np.float32), terminated, truncated

    def recv(self) -> tuple[Any, ...]:
        """Observations, rewards, flags, no infos; whose they are; who is present."""
        return *self.last, [], self.everyone, self.present

    def close(self) -> None:
        """Nothing is open."""


def config(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings of the loop: its ``defaults``, with the sizes of the other agents."""
    rollout = settings["num_envs"] * settings["n_steps"]
    minibatch = rollout // settings["minibatches"]
    return defaults | {
        "env": "corridors",
        "exp_id": "bench",
        "device": "cpu",
        "total_timesteps": 10**12,
        "checkpoint_interval": 10**9,
        "batch_size": rollout,
        "minibatch_size": minibatch,
        "bptt_horizon": math.gcd(settings["n_steps"], minibatch),
        "update_epochs": settings["epochs"],
    }


def serve() -> None:
    """Until standard input ends."""
    rounds = Rounds()
    settings = rounds.settings
    torch.set_num_threads(settings["threads"])
    checkout = Path(settings["script"]).parent
    sys.path.insert(0, str(checkout))
    sys.modules.setdefault("gym", gym)
    threading.excepthook = lambda _: None  # a thread of the loop watches a GPU, and ends where there is none

    loop, pufferlib = import_module("clean_pufferl"), import_module("pufferlib")
    models, recurrent = import_module("pufferlib.models"), import_module("pufferlib.frameworks.cleanrl")
    defaults = yaml.safe_load((checkout / "config.yaml").read_text())["default"]["train"]
    width, corridors = settings["width"], Corridors(rounds)
    lstm = models.LSTMWrapper(corridors, models.Default(corridors, width), width, width)
    data = loop.create(
        pufferlib.namespace(**config(settings, defaults)), corridors, recurrent.RecurrentPolicy(lstm)
    )
    try:
        while True:
            rounds.next()
            for _ in range(rounds.rollouts):
                loop.evaluate(data)
                loop.train(data)
    finally:
        loop.close(data)


if __name__ == "__main__":
    serve()
