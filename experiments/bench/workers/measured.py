"""One of the workers that `expirespan bench workers` measures: ``RECIPE ROUNDS FILE``, started by torchrun."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from stable_baselines3.common.logger import Logger

from expirespan.agents import Workers
from expirespan.experiments.making.agents import make_agent
from expirespan.experiments.making.envs import make_training_env
from expirespan.experiments.recipes import find_recipe
from expirespan.experiments.settings import ConstantPenaltySettings, LessonSettings


def main(recipe: str, rounds: int, file: Path) -> None:
    """Train one update to warm up, then ``rounds`` of them; the first worker writes what it has measured."""
    torch.set_num_threads(1)
    workers = Workers.start()
    chosen = find_recipe(recipe).config
    algorithm = replace(chosen.algorithm, target_kl=None)  # all minibatches of every update
    config = replace(
        chosen, penalty=ConstantPenaltySettings(1e-3), forgetting=LessonSettings(), algorithm=algorithm
    )
    agent = make_agent(config, make_training_env(config))
    agent.set_logger(Logger(None, []))
    steps = config.num_envs * config.algorithm.n_steps
    found, cpu, sent = [], [], 0
    for i in range(rounds + 1):
        _, callback = agent._setup_learn(steps, None, reset_num_timesteps=i == 0)
        before, begin, used = _sent(workers), time.perf_counter(), time.process_time()
        agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
        agent.train()
        found.append(steps / (time.perf_counter() - begin))
        sent = _sent(workers) - before
        cpu.append(workers.largest(torch.tensor(time.process_time() - used)).item())
    batches = math.ceil(steps / (agent.batch_size or steps)) * agent.n_epochs
    sizes = {
        "parameters": sum(p.numel() for p in agent.policy.parameters()),
        "layers": config.memory.layers,
        "width": config.memory.width,
        "minibatches": batches,
    }
    if workers.lead:
        file.write_text(
            json.dumps({"rounds": found[1:], "cpu": cpu[1:], "sent": sent, "sizes": sizes}), encoding="utf-8"
        )
    workers.leave()


def _sent(workers: Workers) -> int:
    """Bytes handed to exchanges, apart from those of values that are gathered, such as the episodes that ended."""
    return sum(count for kind, count in workers.sent.items() if kind != "all_gather")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
