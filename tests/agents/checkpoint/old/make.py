"""Made agent-0.1.zip and agent-0.1.json with version 0.1 (commit ed19093): a small agent, and what it answers."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import torch as th

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import AdaptivePenalty, Forgetting, MemoryPPO

if __name__ == "__main__":
    th.set_num_threads(1)
    memory = {
        "width": 8,
        "layers": 2,
        "heads": 2,
        "max_span": 32,
        "ramp": 4,
        "init_fraction": 0.2,
        "positions": 4,
    }
    agent = MemoryPPO(
        "MlpPolicy",
        gym.make_vec("ExpireSpan/EndlessTMaze-v0", num_envs=4),
        n_steps=16,
        batch_size=32,
        n_epochs=1,
        seed=1,
        device="cpu",
        policy_kwargs={"memory": "expire_span", "memory_kwargs": memory, "predictor_lr": 0.5},
        span_penalty=AdaptivePenalty(0.02, target=-10.0),
        forgetting=Forgetting(softness=(0.5, 4.0)),
    )
    agent.learn(4 * 16 * 6)
    agent.save("agent-0.1.zip")
    rng = np.random.default_rng(0)
    observations = rng.integers(0, 2, (40, 3, 4)).astype(np.float32)
    starts = rng.random((40, 3)) < 0.1
    starts[0] = True
    state, answers = agent.policy.initial_state(3), []
    for seen, start in zip(observations, starts, strict=True):
        with th.no_grad():
            out = agent.policy.step(th.as_tensor(seen), state, th.as_tensor(start), deterministic=True)
        state = out.state
        answers.append(
            {
                "action": out.actions.tolist(),
                "value": out.values.flatten().tolist(),
                "log_prob": out.log_prob.tolist(),
                "alive": [layer[:, 0].tolist() for layer in out.trace.alive],
                "spans": [layer[:, 0].tolist() for layer in out.trace.spans],
            }
        )
    found = {"observations": observations.tolist(), "starts": starts.tolist(), "answers": answers}
    with open("agent-0.1.json", "w") as file:
        json.dump(found | {"num_timesteps": agent.num_timesteps}, file)
