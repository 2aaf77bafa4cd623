"""Made the files beside it with version 0.1 (commit cf4624a): an agent, its policy, a trace, a sequence run."""

import shutil
from pathlib import Path

import gymnasium as gym
import torch

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import MemoryPPO
from expirespan.experiments.episodes.record import record_episode
from expirespan.experiments.sequence.config import CopyTask, SequenceConfig
from expirespan.experiments.sequence.train import train_sequence
from expirespan.experiments.settings import CorridorSettings, ExpireSpanSettings

torch.set_num_threads(1)
here = Path(__file__).parent
config = SequenceConfig(
    recipe="old",
    task=CopyTask(delay=8, shortest=None, payload=1, symbols=2),
    rows=2,
    block=8,
    updates=6,
    memory=ExpireSpanSettings(width=4, layers=1, heads=1, max_span=16, ramp=2, positions=2),
    evaluate_every=3,
    evaluation_steps=32,
    evaluation_rows=2,
    save_every=3,
    checkpoints=2,
    device="cpu",
    runs=str(here / "runs"),
    wandb="off",
    tensorboard=False,
    progress=False,
)
run = train_sequence(config).run.folder
shutil.rmtree(here / "sequence", ignore_errors=True)
shutil.move(run, here / "sequence")
memory = {"width": 4, "layers": 1, "heads": 1, "max_span": 8, "ramp": 2, "positions": 2}
kwargs = {"memory": "expire_span", "memory_kwargs": memory, "net_arch": []}
env = gym.make_vec("ExpireSpan/Corridor-v0", num_envs=2, max_length=5)
agent = MemoryPPO(
    "MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu", policy_kwargs=kwargs
)
agent.learn(32)
agent.save(here / "agent.zip")
agent.policy.save(here / "policy.zip")
trace = record_episode(agent, CorridorSettings(3, 3), 0, "old")
trace.save(here / "trace.npz")
