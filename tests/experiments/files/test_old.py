"""Files of version 0.1 (made by old/make.py) are read, and runs go on from them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from expirespan.agents import MemoryActorCriticPolicy, MemoryPPO
from expirespan.experiments.episodes.trace import EpisodeTrace
from expirespan.experiments.run_folder.run import Run
from expirespan.experiments.sequence.config import read_sequence_config
from expirespan.experiments.sequence.train import evaluate_run, train_sequence
from expirespan.experiments.tracking.log_files import read_csv

OLD = Path(__file__).parent / "old"


def test_agent_policy_and_trace() -> None:
    agent = MemoryPPO.load(OLD / "agent.zip", device="cpu")
    policy = MemoryActorCriticPolicy.load(OLD / "policy.zip", device="cpu")
    weights = agent.policy.state_dict()
    assert agent.num_timesteps == 32
    assert all(torch.equal(tensor, weights[name]) for name, tensor in policy.state_dict().items())
    trace = EpisodeTrace.load(OLD / "trace.npz")
    state, seen = policy.initial_state(1), trace.observation
    for t in range(trace.steps):
        with torch.no_grad():
            out = policy.step(
                torch.as_tensor(seen[t : t + 1]), state, torch.tensor([t == 0]), deterministic=True
            )
        state = out.state
        assert (
            np.isclose(out.values.item(), trace.value[t], atol=1e-5) and out.actions.item() == trace.action[t]
        )


def test_a_sequence_run(tmp_path: Path) -> None:
    shutil.copytree(OLD / "sequence", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    config = read_sequence_config(run)
    assert [entry["step"] for entry in run.evaluations()] == [48, 96] and len(read_csv(run.progress)) == 2
    assert evaluate_run(config, run).update_number == 6
    result = train_sequence(replace(config, updates=9), run)
    assert result.trainer.update_number == 9 and result.score is not None
    assert [entry["step"] for entry in run.evaluations()] == [48, 96, 144]
    newest = run.newest_checkpoint()
    assert newest.name == "step-0000000144.zip"
    again = evaluate_run(config, run).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in result.trainer.model.state_dict().items())
