"""Where a T-maze agent goes wrong in ten mazes: `python docs/results/fall/ten.py RUN` writes ten.json beside it.

Junctions are counted by the corridor's number, its cue, and whether layer 2 holds a memory older than the corridor.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

import expirespan.envs  # noqa: F401  (registers the environments)
from expirespan.agents import MemoryPPO, SB3VecEnv

NUM_ENVS, CORRIDOR = 200, 5


def count(run: Path, floor: float) -> list[dict[str, int | str | bool]]:
    """Decisions of 200 episodes by their situation; ``floor``: least span, in steps."""
    model = MemoryPPO.load(sorted(run.glob("checkpoints/step-*.zip"))[-1], device="cpu")
    policy = model.policy
    policy.set_training_mode(False)
    env = SB3VecEnv(gym.make_vec("ExpireSpan/EndlessTMaze-10-v0", num_envs=NUM_ENVS))
    env.seed(5)
    obs = env.reset()
    state = policy.initial_state(NUM_ENVS).with_spans(floor=torch.full((NUM_ENVS,), floor))
    start, over = torch.ones(NUM_ENVS, dtype=torch.bool), np.zeros(NUM_ENVS, dtype=bool)
    cue, passed, found = np.zeros(NUM_ENVS, dtype=int), np.zeros(NUM_ENVS, dtype=int), Counter()
    while not over.all():
        with torch.no_grad():
            out = policy.step(policy.obs_to_tensor(obs)[0], state, start, deterministic=True)
        state = out.state
        shown = obs[:, :2].any(1)
        cue[shown] = obs[shown, :2].argmax(1)
        births, time = out.trace.births[1].numpy(), state.time_B.numpy() - 1
        oldest = np.where(births < 0, 0, time[:, None] - births).max(1)
        actions = policy.to_env(out.actions.numpy())
        for i in np.flatnonzero((obs[:, 2] > 0) & ~over):
            found[
                passed[i] + 1,
                ("left", "right")[cue[i]],
                bool(oldest[i] > CORRIDOR),
                bool(actions[i] == cue[i]),
            ] += 1
            passed[i] += 1
        obs, _, done, _ = env.step(actions)
        over |= done
        start = torch.as_tensor(done)
    names = ("corridor", "cue", "older", "right")
    return [
        dict(zip(names, map(_plain, key), strict=True)) | {"count": n} for key, n in sorted(found.items())
    ]


def _plain(value: object) -> int | str | bool:
    return int(value) if isinstance(value, np.integer) else value  # type: ignore[return-value]


if __name__ == "__main__":
    torch.set_num_threads(1)
    both = {"own spans": count(Path(sys.argv[1]), 0.0), "full memory": count(Path(sys.argv[1]), 1e6)}
    Path(__file__).with_name("ten.json").write_text(json.dumps(both, indent=1) + "\n")
    for name, rows in both.items():
        trap = [r for r in rows if r["corridor"] > 3 and r["cue"] == "left" and r["older"]]
        rest = [r for r in rows if r not in trap]
        for what, part in (("left cue, older memory, beyond the third corridor", trap), ("all others", rest)):
            wrong = sum(r["count"] for r in part if not r["right"])
            print(f"{name}: {what}: {wrong} of {sum(r['count'] for r in part)} wrong")
