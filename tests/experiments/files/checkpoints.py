"""Checkpoints of agents, policies and sequence tasks: small ones, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import MemoryActorCriticPolicy, MemoryPPO
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.trainer import Trainer
from expirespan.experiments.settings import ExpireSpanSettings

torch.set_num_threads(1)


SIZES = {"width": 4, "layers": 1, "heads": 1, "max_span": 8, "ramp": 2, "positions": 2}


def make_agent(which: int) -> MemoryPPO:
    env = gym.make_vec("ExpireSpan/EndlessTMaze-v0", num_envs=2)
    kwargs = {"memory": "expire_span", "memory_kwargs": SIZES, "net_arch": []}
    agent = MemoryPPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=which, device="cpu",
                      policy_kwargs=kwargs)  # fmt: skip
    return agent.learn(16 * (which + 1))


def agent_file(folder: Path, which: int) -> Path:
    make_agent(which).save(folder / "agent.zip")
    return folder / "agent.zip"


def policy_file(folder: Path, which: int) -> Path:
    make_agent(which).policy.save(folder / "policy.zip")
    return folder / "policy.zip"


def read_agent(path: Path) -> Any:
    agent = MemoryPPO.load(path, device="cpu")
    assert agent._memory_state is not None
    parts = [agent.get_parameters(), agent._memory_state.state_dict()]
    return tensors_of(parts), agent.num_timesteps, repr(sorted(agent.policy_kwargs.items()))


def read_policy(path: Path) -> Any:
    return tensors_of(MemoryActorCriticPolicy.load(path, device="cpu").state_dict())


def sequence_config(which: int = 0) -> SequenceConfig:
    return SequenceConfig(
        task=CopyTask(delay=8, shortest=None, payload=1, symbols=2), memory=ExpireSpanSettings(**SIZES), rows=2,
        block=8, seed=0, updates=6, evaluation_steps=32, device="cpu",
    )  # fmt: skip


def sequence_file(folder: Path, which: int) -> Path:
    trainer = Trainer(sequence_config())
    for _ in range(which + 1):
        trainer.update()
    trainer.save(folder / "step-0000000016.zip")
    return folder / "step-0000000016.zip"


def read_sequence(path: Path) -> Any:
    trainer = Trainer(sequence_config())
    trainer.load(path)
    parts = [trainer.model.state_dict(), trainer.optimizer.state_dict(), trainer.state.state_dict()]
    return (
        tensors_of(parts),
        trainer.update_number,
        trainer.num_timesteps,
        json.dumps(trainer.stream.state_dict()),
    )


def tensors_of(state: Any) -> Any:
    """Tensors in nested dicts and lists as bytes."""
    if isinstance(state, torch.Tensor):
        return str(state.dtype), tuple(state.shape), state.detach().numpy().tobytes()
    if isinstance(state, dict):
        return {str(name): tensors_of(part) for name, part in state.items()}
    return [tensors_of(part) for part in state] if isinstance(state, list | tuple) else state
